"""FLAC: what its first block says of its length, for which the engine takes memory."""

from __future__ import annotations

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.shape import damaged
from runtime.units import amount

NAME = "FLAC"
BLOCKS = 128  # of what precedes the samples: titles and pictures
HEAD = 34
SAMPLES_OF_FRAME = 65_535  # at most, in ten bytes at least


def flac_seconds(data: bytes) -> float:
    """Walk a FLAC up to its samples, return how long it says it is; raise MediaError if damaged."""
    if len(data) < 8 + HEAD or data[4] & 0x7F or int.from_bytes(data[5:8], "big") != HEAD:
        raise damaged(NAME, "it does not begin with its properties")
    properties = int.from_bytes(data[18:26], "big")
    rate, samples = properties >> 44, properties & ((1 << 36) - 1)
    if not rate:
        raise damaged(NAME, "it has no samples in a second")
    if not samples:
        raise MediaError("the FLAC does not say how long it is", hint="save it anew")
    if (all_samples := samples * (1 + (properties >> 41 & 7))) > bounds.SOUND_SAMPLES:
        raise MediaError(
            f"the FLAC has {amount(all_samples)} samples, "
            f"at most {amount(bounds.SOUND_SAMPLES)} are decoded",
            hint="save it with one channel, and 16,000 samples in a second",
        )
    if samples > SAMPLES_OF_FRAME * (len(data) // 10):
        raise damaged(NAME, "it claims more samples than it can have")
    _require_samples(data)
    return samples / rate


def _require_samples(data: bytes) -> None:
    """Raise MediaError unless samples begin behind the blocks at the start."""
    place = 4
    for _ in range(BLOCKS):
        head = data[place : place + 4]
        if len(head) < 4:
            break
        place += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:  # the last one
            if data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] in (
                b"\xf8",
                b"\xf9",
            ):
                return
            break
    raise damaged(NAME, "it ends before its samples, or has none")
