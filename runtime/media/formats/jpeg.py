"""JPEG: segments up to the end of the picture, its size, and how much its scans go over."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.orientation import UPRIGHT, orientation_of
from runtime.media.formats.shape import Shape, damaged, require_parts, require_size

NAME = "JPEG"
PROGRESSIVE = 0xC2
DECODED = (0xC0, 0xC1, PROGRESSIVE)
"""Frames that the engine decodes: baseline, extended and progressive, with Huffman codes."""
OTHERS = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
"""Lossless, hierarchical and arithmetic ones, which hardly anything reads."""
SCAN, END, APP1 = 0xDA, 0xD9, 0xE1
BARE = (0x01, *range(0xD0, 0xD8))
"""Markers without a segment."""
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.S)
"""A marker between segments, which any number of bytes 0xff may stand before."""
END_OF_PIXELS = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.S)
"""A marker in coded pixels, which a zero stands behind otherwise, or a number to restart at.

A run of bytes 0xff must not be looked through from each of them anew."""
EXIF = b"Exif\0\0"
BLOCK = 8
"""Samples of a side of what is coded at once."""


def jpeg_shape(data: bytes) -> Shape:
    """Walk a JPEG; raise MediaError if it is damaged, or larger than it may be.

    What follows its end is not of it: telephones put films and further pictures there.
    """
    place, orientation = 2, UPRIGHT
    frame: _Frame | None = None
    parts = 0
    while True:
        require_parts(NAME, parts := parts + 1)
        marker, place = _marker(data, place)
        if marker == END:
            if frame is None or not frame.samples:
                raise damaged(NAME, "it has no pixels")
            return Shape(frame.width, frame.height, place, orientation)
        if marker in BARE:
            continue
        body = _segment(data, place)
        place += 2 + len(body)
        if marker in OTHERS:
            raise MediaError(
                "the JPEG is lossless, hierarchical or arithmetically coded", hint="save it anew"
            )
        if marker in DECODED:
            if frame:
                raise damaged(NAME, "it has two frames")
            frame = _frame(body, progressive=marker == PROGRESSIVE)
        elif marker == APP1 and body.startswith(EXIF):
            orientation = orientation_of(body[len(EXIF) :])
        elif marker == SCAN:
            if frame is None:
                raise damaged(NAME, "its pixels begin before its size")
            frame.scan(body)
            found = END_OF_PIXELS.search(data, place)
            if found is None:
                raise damaged(NAME, "it ends within its pixels")
            place = found.start()


@dataclass
class _Frame:
    """What a JPEG says of its size, and what its scans have gone over so far."""

    width: int
    height: int
    colours: dict[int, tuple[int, int]]
    """By identity, samples across and down in each unit."""
    progressive: bool
    samples: int = 0
    _seen: set[int] = field(default_factory=set)

    def scan(self, body: bytes) -> None:
        """Count the samples of a scan; raise MediaError if they are too many."""
        count = body[0] if body else 0
        given = body[1 : 1 + 2 * count : 2]
        if not 1 <= count <= 4 or len(given) < count or not set(given) <= self.colours.keys():
            raise damaged(NAME, "a scan has colours that there are not")
        if not self.progressive and (len(set(given)) < count or self._seen & set(given)):
            raise damaged(NAME, "its pixels are there twice")
        self._seen |= set(given)
        self.samples += BLOCK**2 * (self._alone(given[0]) if count == 1 else self._mixed(given))
        if self.samples > bounds.PICTURE_PASSES:
            raise MediaError(
                f"the JPEG goes over its {self.width * self.height:,} pixels too often: over "
                f"{self.samples:,} samples, at most {bounds.PICTURE_PASSES:,}",
                hint="save it anew, not progressive",
            )

    def _alone(self, colour: int) -> int:
        """Return the blocks of a colour that has a scan of its own."""
        across, down = self.colours[colour]
        widest, highest = self._largest
        return _count(_count(self.width * across, widest), BLOCK) * _count(
            _count(self.height * down, highest), BLOCK
        )

    def _mixed(self, given: bytes) -> int:
        """Return the blocks of a scan of several colours, which has whole units alone."""
        widest, highest = self._largest
        units = _count(self.width, BLOCK * widest) * _count(self.height, BLOCK * highest)
        return units * sum(across * down for across, down in map(self.colours.__getitem__, given))

    @property
    def _largest(self) -> tuple[int, int]:
        across, down = zip(*self.colours.values(), strict=True)
        return max(across), max(down)


def _count(size: int, part: int) -> int:
    """Return how many parts there are, the last of which may be cut."""
    return -(-size // part)


def _marker(data: bytes, place: int) -> tuple[int, int]:
    """Return the marker at `place`, and where its segment begins."""
    found = MARKER.match(data, place)
    if found is None:
        if place >= len(data):
            raise damaged(NAME, "it ends before its last marker")
        raise damaged(NAME, f"there is no marker at byte {place:,}")
    return found[1][0], found.end()


def _segment(data: bytes, place: int) -> bytes:
    """Return what the segment at `place` has behind its length."""
    length = int.from_bytes(data[place : place + 2], "big")
    if length < 2 or place + length > len(data):
        raise damaged(NAME, f"a segment claims {length:,} bytes, which are not there")
    return data[place + 2 : place + length]


def _frame(body: bytes, *, progressive: bool) -> _Frame:
    """Read the segment that begins a frame."""
    if len(body) < 6:
        raise damaged(NAME, "its size is missing")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if precision != 8:
        raise MediaError(f"the JPEG has {precision} bits in a sample, not 8", hint="save it anew")
    if components not in (1, 3, 4) or len(body) != 6 + 3 * components:
        raise damaged(NAME, f"it claims {components} colours")
    require_size(NAME, width, height)
    colours = {
        identity: (factors >> 4, factors & 15)
        for identity, factors, _ in struct.iter_unpack("3B", body[6:])
    }
    if len(colours) < components:
        raise damaged(NAME, "two of its colours are the same")
    if not all(1 <= factor <= 4 for pair in colours.values() for factor in pair):
        raise damaged(NAME, "it has samples of no size")
    return _Frame(width, height, colours, progressive)
