"""WAV: chunks up to the samples, and how long these take."""

from __future__ import annotations

import struct

from runtime.errors import MediaError
from runtime.media.formats.shape import damaged

NAME = "WAV"
FORMAT = struct.Struct("<HHIIHH")  # tag, channels, rate, bytes per second, bytes per frame, bits
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
CHANNELS, RATES = 8, range(1000, 400_000)
"""What is honestly recorded with."""


def wav_seconds(data: bytes) -> float:
    """Walk a WAV, return how long it is; raise MediaError if it is damaged, or not plain."""
    place, rate, frame = 12, 0, 0
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        place += 8
        if place + length > len(data):
            raise damaged(NAME, f"a part claims {length:,} bytes, which are not there")
        if kind == b"fmt ":
            rate, frame = _format(data, place, length)
        elif kind == b"data":
            if not rate:
                raise damaged(NAME, "its samples begin before their format")
            if length < frame:
                raise damaged(NAME, "it has no samples")
            return float(length / frame / rate)
        place += length + length % 2
    raise damaged(NAME, "it ends before its samples")


def _format(data: bytes, place: int, length: int) -> tuple[int, int]:
    """Return how many frames there are in a second, and the bytes of each."""
    if length < FORMAT.size:
        raise damaged(NAME, f"its format has {length} bytes")
    tag, channels, rate, _, frame, bits = FORMAT.unpack_from(data, place)
    if tag not in (PCM, FLOAT, EXTENSIBLE):
        raise MediaError("the WAV is compressed", hint="save it as PCM with 16 bits")
    if not 1 <= channels <= CHANNELS or rate not in RATES:
        raise damaged(NAME, f"it claims {channels} channels and {rate:,} samples in a second")
    if bits not in (8, 16, 24, 32, 64) or frame != channels * bits // 8:
        raise damaged(
            NAME, f"it claims {bits} bits in a sample, and {frame} bytes for all channels"
        )
    return rate, frame
