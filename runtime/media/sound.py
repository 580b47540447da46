"""Sound: the bytes of a file, of a format that the engine decodes, looked through in bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.flac import flac_seconds
from runtime.media.formats.mp3 import mp3_seconds
from runtime.media.formats.unread import A_SOUND, refusal
from runtime.media.formats.wav import wav_seconds
from runtime.units import gigabytes


@dataclass(frozen=True)
class Sound:
    """A sound that was looked through; its samples are decoded by the engine."""

    data: bytes
    format: str
    """`wav`, `mp3` or `flac`."""
    seconds: float
    """How long it is at most."""
    digest: str
    """SHA-256 of `data`, in hexadecimal."""


def is_sound(data: bytes) -> bool:
    """Return whether a file begins as a sound that is read."""
    return _reader(data) is not None


def read_sound(data: bytes) -> Sound:
    """Look through a sound's file; raise MediaError if it is none that the engine may decode."""
    if len(data) > bounds.SOUND:
        raise MediaError(
            f"the sound has {gigabytes(len(data))}, at most {gigabytes(bounds.SOUND)} are read",
            hint="make it shorter",
        )
    found = _reader(data)
    if found is None:
        raise refusal(data, A_SOUND)
    name, seconds_of = found
    seconds = seconds_of(data)
    require_short("the sound takes", seconds)
    return Sound(data, name, seconds, sha256(data).hexdigest())


def require_short(what: str, seconds: float) -> None:
    """Raise MediaError if `what` takes longer than may be heard."""
    if seconds > bounds.SOUND_SECONDS:
        raise MediaError(
            f"{what} {math.ceil(seconds / 60):,} minutes, "
            f"at most {bounds.SOUND_SECONDS / 60:.0f} minutes are heard",
            hint="make it shorter",
        )


def _reader(data: bytes) -> tuple[str, Callable[[bytes], float]] | None:
    """Return what a file is by what it begins with, and what looks it through."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav", wav_seconds
    if data[:4] == b"fLaC":
        return "flac", flac_seconds
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] > b"\xdf"):
        return "mp3", mp3_seconds
    return None
