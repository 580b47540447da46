"""Byte planes: split weights into streams that compress well, and join them again.

A general compressor finds next to nothing in weights: their bytes are mixed, scales with quants,
exponents with fractions. Sorted into streams of one kind each, a Huffman coder finds what there is
to find. For every type of GGUF this is a row of `LAYOUTS`; the numbers of types are ggml's
(`enum ggml_type` in ggml.h), the fields those of its block structures (ggml-common.h).

The loops themselves are compiled (byte_planes.c): in Python alone they take ten times as long as
the decompression. All calls release the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from runtime.errors import ModelError
from runtime.host.library_paths import REINSTALL, WEIGHTS, load_own

PLAIN = 255
"""The layout of bytes that are no weights, or of a type unknown here: one stream, unchanged."""


class Buffer:
    """Writable memory of a fixed size, with its address."""

    def __init__(self, size: int) -> None:
        """Take `size` bytes."""
        # Of pages of its own, which go back to the system with it: freed heap may stay for ever.
        self._memory = (ctypes.c_char * size).from_buffer(mmap.mmap(-1, max(size, 1)))
        self.view = memoryview(self._memory).cast("B")
        self.address = ctypes.addressof(self._memory)


@dataclass(frozen=True)
class Stream:
    """One of the streams that a piece of weights is split into."""

    size: int
    plane: int = 0
    """Bytes of one kind within it: statistics change after so many. 0 where they do not."""


class Layout(Protocol):
    """How the bytes of one tensor type are split: `split` and `join` are inverse.

    Streams take as many bytes as the records. They are split to lie one after the other, and joined
    from wherever each of them is.
    """

    @property
    def record(self) -> int:
        """Bytes of a record; only whole records can be split."""

    def streams(self, count: int) -> list[Stream]:
        """Return what streams `count` records make."""

    def split(self, records: bytes, streams: Buffer, count: int) -> None:
        """Split `count` records into streams."""

    def join(self, streams: Sequence[int], records: Buffer, count: int) -> None:
        """Join `count` records out of the streams at these addresses."""


@dataclass(frozen=True)
class Numbers:
    """Plain numbers, a stream for each byte of them (for BF16: for exponent and the rest)."""

    record: int
    kind: str
    """The end of the compiled functions' names."""

    def streams(self, count: int) -> list[Stream]:
        return [Stream(count)] * self.record

    def split(self, records: bytes, streams: Buffer, count: int) -> None:
        split = _function(f"weights_split_{self.kind}", POINTER, POINTER, SIZE)
        split(streams.address, records, count)

    def join(self, streams: Sequence[int], records: Buffer, count: int) -> None:
        pointers = [POINTER] * self.record
        join = _function(f"weights_join_{self.kind}", POINTER, SIZE, *pointers)
        join(records.address, count, *streams)


@dataclass(frozen=True)
class Planes:
    """A field whose bytes differ in kind: all first bytes, then all second ones, and so on."""

    name: str
    width: int


@dataclass(frozen=True)
class Run:
    """A field whose bytes are of one kind, kept together."""

    name: str
    width: int


class _Field(ctypes.Structure):
    """Where a field of every record goes: `struct field` of byte_planes.c, which explains it."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("offset", "width", "stream", "before"))


class Blocks:
    """Blocks of fields: all planes together in the first stream, then one for each run.

    The planes are short, and so share a stream.
    """

    def __init__(self, *fields: Planes | Run) -> None:
        self.fields = fields
        self.record = sum(field.width for field in fields)
        self._planes = sum(field.width for field in fields if isinstance(field, Planes))
        self._runs = [field.width for field in fields if isinstance(field, Run)]
        placed = []
        offset = before = 0
        stream = 1 if self._planes else 0
        for field in fields:
            if isinstance(field, Run):
                placed.append(_Field(offset, field.width, stream, 0))
                stream += 1
            else:
                for byte in range(field.width):
                    placed.append(_Field(offset + byte, 1, 0, before))
                    before += 1
            offset += field.width
        self._places = (_Field * len(placed))(*placed)
        self._pointers = ctypes.c_void_p * stream

    def streams(self, count: int) -> list[Stream]:
        runs = [Stream(width * count) for width in self._runs]
        return [Stream(self._planes * count, count), *runs] if self._planes else runs

    def split(self, records: bytes, streams: Buffer, count: int) -> None:
        sizes = [stream.size for stream in self.streams(count)]
        begins = accumulate(sizes[:-1], initial=streams.address)
        self._call("weights_split_fields", self._pointers(*begins), records, count)

    def join(self, streams: Sequence[int], records: Buffer, count: int) -> None:
        self._call("weights_join_fields", records.address, self._pointers(*streams), count)

    def _call(self, name: str, target: object, source: object, count: int) -> None:
        function = _function(name, POINTER, POINTER, SIZE, SIZE, POINTER, SIZE)
        function(target, source, count, self.record, self._places, len(self._places))


D = Planes("d", 2)
DMIN = Planes("dmin", 2)
SCALES = (Run("s1", 4), Run("s2", 4), Run("s3", 4))
"""Twelve bytes of 6-bit scales and minima: scales, minima, and the rest of both."""

LAYOUTS: Mapping[int, Layout] = {
    0: Numbers(4, "4"),  # F32
    1: Numbers(2, "2"),  # F16
    2: Blocks(D, Run("qs", 16)),  # Q4_0
    3: Blocks(D, Planes("m", 2), Run("qs", 16)),  # Q4_1
    6: Blocks(D, Run("qh", 4), Run("qs", 16)),  # Q5_0
    7: Blocks(D, Planes("m", 2), Run("qh", 4), Run("qs", 16)),  # Q5_1
    8: Blocks(D, Run("qs", 32)),  # Q8_0
    9: Blocks(D, Planes("s", 2), Run("qs", 32)),  # Q8_1
    10: Blocks(Run("scales", 16), Run("qs", 64), D, DMIN),  # Q2_K
    11: Blocks(Run("hmask", 32), Run("qs", 64), Run("lo", 8), Run("hi", 4), D),  # Q3_K
    12: Blocks(D, DMIN, *SCALES, Run("qs", 128)),  # Q4_K
    13: Blocks(D, DMIN, *SCALES, Run("qh", 32), Run("qs", 128)),  # Q5_K
    14: Blocks(Run("ql", 128), Run("qh", 64), Run("scales", 16), D),  # Q6_K
    15: Blocks(Planes("d", 4), Run("qs", 256), Run("bsums", 32)),  # Q8_K
    16: Blocks(D, Run("qs", 64)),  # IQ2_XXS
    17: Blocks(D, Planes("qs", 64), Run("scales", 8)),  # IQ2_XS
    18: Blocks(D, Run("qs", 64), Run("gas", 32)),  # IQ3_XXS: grid indices, then signs and scales
    19: Blocks(D, Run("qs", 32), Run("qh", 16)),  # IQ1_S
    20: Blocks(D, Run("qs", 16)),  # IQ4_NL
    21: Blocks(D, Run("qs", 64), Run("qh", 8), Run("signs", 32), Run("scales", 4)),  # IQ3_S
    22: Blocks(D, Run("qs", 32), Run("signs", 32), Run("qh", 8), Run("scales", 8)),  # IQ2_S
    23: Blocks(D, Planes("scales_h", 2), Run("scales_l", 4), Run("qs", 128)),  # IQ4_XS
    25: Numbers(2, "2"),  # I16
    26: Numbers(4, "4"),  # I32
    27: Blocks(Planes("number", 8)),  # I64
    28: Blocks(Planes("number", 8)),  # F64
    29: Blocks(Run("qs", 32), Run("qh", 16), Planes("scales", 8)),  # IQ1_M
    30: Numbers(2, "bf16"),  # BF16
    34: Blocks(Run("qs", 48), Run("qh", 4), D),  # TQ1_0
    35: Blocks(Run("qs", 64), D),  # TQ2_0
    39: Blocks(Planes("e", 1), Run("qs", 16)),  # MXFP4
    40: Blocks(Run("d", 4), Run("qs", 32)),  # NVFP4
    41: Blocks(D, Run("qs", 16)),  # Q1_0
    42: Blocks(D, Run("qs", 16)),  # Q2_0
}


@functools.lru_cache(4096)
def streams_of(kind: int, size: int) -> Sequence[Stream]:
    """Return the streams that `size` bytes of type `kind` are split into.

    Raise ValueError when the type is unknown, or the bytes are no whole records.
    """
    if kind == PLAIN:
        return [Stream(size)]
    layout = LAYOUTS.get(kind)
    if layout is None or size % layout.record:
        raise ValueError(f"{size} bytes of weights of type {kind} cannot be split")
    return layout.streams(size // layout.record)


@functools.cache
def _library() -> ctypes.CDLL:
    return load_own(WEIGHTS)


POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t


@functools.cache
def _function(name: str, *arguments: Any) -> Callable[..., None]:
    """Return a function of byte_planes.c that takes arguments of these types."""
    try:
        function = _library()[name]
    except AttributeError as exc:
        raise ModelError(f"{WEIGHTS} is of another version: {exc}", hint=REINSTALL) from exc
    function.argtypes = arguments
    function.restype = None
    return function
