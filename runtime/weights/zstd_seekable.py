"""Read the seek table of zstd's seekable format: the codec `zstd` of older bundles.

Source: contrib/seekable_format/zstd_seekable_compression_format.md of the zstd project. The
frames follow one another; a skippable frame at the end lists the sizes of each. It has no
checksums of frames, since every frame carries zstd's own content checksum.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from runtime import bounds
from runtime.errors import DAMAGED, PayloadError

SKIPPABLE = struct.Struct("<II")  # magic, bytes that follow
SKIPPABLE_MAGIC = 0x184D2A5E
ENTRY = struct.Struct("<II")  # compressed bytes, original bytes
TAIL = struct.Struct("<IBI")  # number of frames, descriptor, magic
TAIL_MAGIC = 0x8F92EAB1


@dataclass(frozen=True, slots=True)
class Frame:
    """One zstd frame: where it lies and where its content belongs."""

    offset: int
    length: int
    target: int
    size: int


def table_length(tail: bytes) -> int:
    """Return how many bytes the seek table takes, given the stream's last nine bytes."""
    if len(tail) != TAIL.size:
        raise PayloadError("the compressed section is too short", hint=DAMAGED)
    count, descriptor, magic = TAIL.unpack(tail)
    if magic != TAIL_MAGIC or descriptor != 0 or count > bounds.FRAMES:
        raise PayloadError("the compressed section has no valid seek table", hint=DAMAGED)
    return SKIPPABLE.size + int(count) * ENTRY.size + TAIL.size


def decode(table: bytes, length: int, size: int) -> list[Frame]:
    """Return the frames that `table` lists.

    They must fill exactly the `length` bytes of the section less the table, and restore to
    exactly `size` bytes; anything else raises PayloadError.
    """
    if len(table) < SKIPPABLE.size + TAIL.size:
        raise PayloadError("the compressed section is too short", hint=DAMAGED)
    magic, body = SKIPPABLE.unpack_from(table)
    if magic != SKIPPABLE_MAGIC or body != len(table) - SKIPPABLE.size:
        raise PayloadError("the compressed section has no valid seek table", hint=DAMAGED)
    frames = []
    offset = target = 0
    entries = memoryview(table)[SKIPPABLE.size : -TAIL.size]
    if len(entries) % ENTRY.size:
        raise PayloadError("the compressed section has no valid seek table", hint=DAMAGED)
    for compressed, original in ENTRY.iter_unpack(entries):
        if not 0 < original <= bounds.FRAME:
            raise PayloadError(
                f"a frame claims {original} bytes, from 1 to {bounds.FRAME} can be", hint=DAMAGED
            )
        frames.append(Frame(offset, compressed, target, original))
        offset += compressed
        target += original
    if offset != length - len(table) or target != size:
        raise PayloadError(
            f"the seek table covers {offset} bytes that restore to {target}, "
            f"expected {length - len(table)} and {size}",
            hint=DAMAGED,
        )
    return frames
