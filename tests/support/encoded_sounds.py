"""Sounds as files, written byte by byte so that each part can be wrong: WAV, FLAC, MP3."""

from __future__ import annotations

import struct


def wav(
    samples: int = 100,
    *,
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    claimed: int | None = None,
) -> bytes:
    """Return a WAV of silence with a click in it."""
    frame = channels * bits // 8
    data = bytes(frame * samples)
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
