"""Formats that are not read, by what files of them begin with: errors call them by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runtime.sanitize import plain

KNOWN: Sequence[tuple[re.Pattern[bytes], str]] = [
    (re.compile(pattern, re.S), name)
    for pattern, name in (
        (rb"RIFF....WEBP", "a WebP picture"),
        (rb"....ftyp(?:avif|avis)", "an AVIF picture"),
        (rb"....ftyp(?:hei[cmsx]|hev[cmx]|mif1|msf1)", "a HEIC picture"),
        (rb"....ftyp", "a film"),
        (rb"(?:II\*\0|MM\0\*|II\+\0|MM\0\+)", "a TIFF picture"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (rb"8BPS", "a Photoshop picture"),
        (rb"\0\0[\x01\x02]\0", "an icon"),
        (rb"%PDF", "a PDF document"),
        (rb"PK\x03\x04", "a ZIP archive"),
        (rb"GGUF", "a GGUF model"),
        (rb"\x7fELF", "a program"),
        (rb"RIFF....WAVE|OggS|fLaC|ID3", "a sound"),
        (rb"\s*(?:\xef\xbb\xbf)?\s*<(?:[?!][^<]*<)*svg\b", "an SVG drawing"),
        (rb"(?i:\s*<(?:!doctype html|html))", "a web page"),
    )
]
HEAD = 1024
"""Bytes that are looked at."""
SHOWN = 8


def found_instead(data: bytes) -> str:
    """Return in words what was found in a file that is no picture which is read."""
    if not data:
        return "the file is empty"
    head = data[:HEAD]
    for pattern, name in KNOWN:
        if pattern.match(head):
            return f"{name} was found"
    return f"a file was found that begins with {plain(repr(data[:SHOWN]))}"
