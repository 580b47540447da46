"""What a file is that is not read, by what it begins with: errors say it in words."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import MediaError
from runtime.sanitize import plain

PICTURE, SOUND, OTHER = "picture", "sound", ""
KNOWN: Sequence[tuple[re.Pattern[bytes], str, str]] = [
    (re.compile(pattern, re.S), name, kind)
    for pattern, name, kind in (
        (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|BM", "a picture", PICTURE),
        (rb"RIFF....WEBP", "a WebP picture", PICTURE),
        (rb"....ftyp(?:avif|avis)", "an AVIF picture", PICTURE),
        (rb"....ftyp(?:hei[cmsx]|hev[cmx]|mif1|msf1)", "a HEIC picture", PICTURE),
        (rb"....ftypM4[AB] ", "an M4A sound", SOUND),
        (rb"....ftyp", "a film", OTHER),
        (rb"(?:II\*\0|MM\0\*|II\+\0|MM\0\+)", "a TIFF picture", PICTURE),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture", PICTURE),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture", PICTURE),
        (rb"8BPS", "a Photoshop picture", PICTURE),
        (rb"\0\0[\x01\x02]\0", "an icon", PICTURE),
        (rb"%PDF", "a PDF document", PICTURE),
        (rb"PK\x03\x04", "a ZIP archive", OTHER),
        (rb"GGUF", "a GGUF model", OTHER),
        (rb"\x7fELF", "a program", OTHER),
        (rb"OggS", "an Ogg sound", SOUND),
        (rb"RIFF....WAVE|fLaC|ID3|\xff[\xe0-\xff]", "a sound", SOUND),
        (rb"\s*(?:\xef\xbb\xbf)?\s*<(?:[?!][^<]*<)*svg\b", "an SVG drawing", PICTURE),
        (rb"(?i:\s*<(?:!doctype html|html))", "a web page", OTHER),
    )
]
"""The kind is what a file of it can be converted to."""
HEAD = 1024
"""Bytes that are looked at."""
SHOWN = 8
"""Bytes that are told of a file of unknown kind: whoever asks may not be the one whose it is."""
CONTROLS = re.compile(r"[\0-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Wanted:
    """What was expected instead."""

    name: str
    """For example `a picture in PNG, JPEG, GIF or BMP`."""
    conversions: tuple[tuple[str, str], ...]
    """Kinds that can be converted to it, each with the formats to convert to."""
    kind: str
    """What it is in short, such as `a picture`."""


A_PICTURE = Wanted("a picture in PNG, JPEG, GIF or BMP", ((PICTURE, "PNG or JPEG"),), "a picture")
A_SOUND = Wanted("a sound in WAV, MP3 or FLAC", ((SOUND, "WAV, MP3 or FLAC"),), "a sound")
EITHER = Wanted(
    f"{A_PICTURE.name}, or {A_SOUND.name},",
    A_PICTURE.conversions + A_SOUND.conversions,
    "a picture or a sound",
)


def refusal(data: bytes, wanted: Wanted) -> MediaError:
    """Return the error for a file that is not what was `wanted`."""
    found, kind = _found_in(data[:HEAD])
    hint = f"give {wanted.kind} instead"
    for convertible, formats in wanted.conversions:
        if kind == convertible:
            hint = f"convert it to {formats}"
        elif kind is None and len(wanted.conversions) == 1:
            hint = f"if it is {wanted.kind}, convert it to {formats}"
    return MediaError(f"{found}; {wanted.name} was expected", hint=hint)


def _found_in(head: bytes) -> tuple[str, str | None]:
    """Return in words what was found, and its kind; None if nobody knows."""
    if not head:
        return "the file is empty", OTHER
    for pattern, name, kind in KNOWN:
        if pattern.match(head):
            return f"{name} was found", kind
    if (text := _text(head)) is not None:
        begin = text.encode()[:SHOWN].decode("utf-8", "ignore")
        return f"a text was found that begins with '{plain(begin)}'", OTHER
    return f"a file was found that begins with the bytes {head[:SHOWN].hex(' ')}", None


def _text(head: bytes) -> str | None:
    """Return the text that a file begins with, None if it is none."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        text = decoder.decode(head)  # which may end within a character
    except UnicodeDecodeError:
        return None
    return None if CONTROLS.search(text) else text
