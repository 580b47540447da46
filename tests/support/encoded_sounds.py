"""Sounds as files, written byte by byte so that each part can be wrong: WAV, FLAC, MP3."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from random import Random


def wav(
    samples: int = 100,
    *,
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    claimed: int | None = None,
    data: bytes = b"",
) -> bytes:
    """Return a WAV of silence, or of `data`."""
    frame = channels * bits // 8
    data = data or bytes(frame * samples)
    length = len(data) if claimed is None else claimed
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * frame % 2**32, frame, bits)
    return b"".join([
        b"RIFF", struct.pack("<I", (36 + len(data)) % 2**32), b"WAVEfmt ",
        struct.pack("<I", len(form)), form, b"data", struct.pack("<I", length), data,
    ])  # fmt: skip


def flac(
    *,
    samples: int = 4096,
    rate: int = 16_000,
    channels: int = 1,
    frames: bytes = b"\xff\xf8\xc9\x18\0\0\0\0\0\0",
    block: bytes = b"",
    room: int = 0,
) -> bytes:
    """Return what a FLAC begins with, and a frame's head; `room` bytes could be further frames."""
    properties = (rate << 44) | ((channels - 1) << 41) | (15 << 36) | samples
    head = (
        struct.pack(">HHHIH", 4096, 4096, 0, 0, 0)[:10] + properties.to_bytes(8, "big") + bytes(16)
    )
    last = b"\0" if block else b"\x80"
    return b"fLaC" + last + b"\0\0\x22" + head + block + frames + bytes(room)


def mp3(frames: int = 3, *, bits: int = 9) -> bytes:
    """Return so many frames of an MP3 of 44,100 Hz, of 128 kbit/s by default."""
    return (b"\xff\xfb" + bytes([bits << 4]) + b"\xc4" + bytes(413)) * frames


def recordings() -> dict[str, bytes]:
    """Return sounds of a second or two that differ, as WAV of several rates, channels and bits."""
    noise = Random(1)
    return {
        "low": _wave(lambda at: math.sin(2 * math.pi * 220 * at)),
        "high": _wave(lambda at: math.sin(2 * math.pi * 3000 * at)),
        "rising": _wave(lambda at: math.sin(2 * math.pi * (200 + 900 * at) * at), seconds=2),
        "beeps": _wave(lambda at: math.sin(2 * math.pi * 880 * at) * (at * 5 % 1 < 0.5)),
        "chord": _wave(lambda at: sum(math.sin(2 * math.pi * f * at) for f in (262, 330, 392)) / 3),
        "noise": _wave(lambda at: noise.uniform(-1, 1)),
        "fading": _wave(lambda at: math.sin(2 * math.pi * 600 * at) * math.exp(-4 * at)),
        "stereo": _wave(lambda at: math.sin(2 * math.pi * 500 * at), rate=44_100, channels=2),
        "coarse": _wave(lambda at: math.sin(2 * math.pi * 500 * at) ** 3, rate=8000),
        "square": _wave(lambda at: 1.0 if at * 300 % 1 < 0.5 else -1.0, rate=48_000),
    }


def _wave(
    heard: Callable[[float], float], *, seconds: float = 1, rate: int = 16_000, channels: int = 1
) -> bytes:
    """Return a sound of 16 bits; `heard` says what there is at a second, from -1 to 1."""
    values = [int(20_000 * heard(at / rate)) for at in range(int(seconds * rate))]
    data = b"".join(struct.pack("<h", value) * channels for value in values)
    return wav(rate=rate, channels=channels, data=data)
