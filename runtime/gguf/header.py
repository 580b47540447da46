"""GGUF header: metadata and tensor list, read with every length checked.

Source: docs/gguf.md of the ggml project. gguf-py reads files that are known to be good; this
reader is for untrusted files: it bounds every count by the bytes that are really there,
allocates nothing that a length field asks for, and says in plain words what is wrong.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from runtime import bounds
from runtime.errors import GGUFError
from runtime.gguf import file_magic
from runtime.gguf.tensor_types import TYPES

MAGIC = b"GGUF"
VERSIONS = (2, 3)
KEEP_MAX = 1 << 12  # longer arrays (vocabularies) are walked over, not kept
DEFAULT_ALIGNMENT = 32

Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = Scalar | list[Any]

_LENGTH = struct.Struct("<Q")
_SCALARS: Mapping[int, struct.Struct] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class Tensor:
    """One tensor as the header lists it."""

    name: str
    shape: tuple[int, ...]
    """Elements per dimension, the contiguous one first."""
    type: int
    offset: int
    """From the start of the data section."""
    size: int
    """Bytes, 0 where the type is unknown to this reader."""

    @property
    def type_name(self) -> str:
        """Return ggml's name of the type."""
        return TYPES[self.type].name if self.type in TYPES else f"type {self.type}"


@dataclass(frozen=True)
class Header:
    """The metadata and tensor list of a GGUF file."""

    version: int
    metadata: Mapping[str, Value]
    """Arrays longer than `KEEP_MAX` stand as an empty list."""
    spans: Mapping[str, tuple[int, int]]
    """Where each key-value pair lies in the file, for copying it unchanged."""
    tensors: tuple[Tensor, ...]
    """Empty when reading stopped before them."""
    data_offset: int
    """Where the tensors' data starts, 0 when reading stopped before."""

    @property
    def architecture(self) -> str:
        """Return `general.architecture`, empty when it is missing."""
        return self.text("general.architecture")

    @property
    def alignment(self) -> int:
        """Return the alignment of tensor data in bytes."""
        return self.number("general.alignment") or DEFAULT_ALIGNMENT

    @property
    def parameters(self) -> int:
        """Return how many weights the tensors hold together."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @property
    def end(self) -> int:
        """Return how many bytes the file must have."""
        ends = (t.offset + t.size for t in self.tensors)
        return self.data_offset + max(ends, default=0)

    def text(self, key: str) -> str:
        """Return a string value, empty when it is missing or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """Return an integer value, 0 when it is missing or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def hyper(self, key: str) -> int:
        """Return an integer of the architecture's own; of a per-layer array, the largest."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, list):
            return max((v for v in value if isinstance(v, int)), default=0)
        return self.number(f"{self.architecture}.{key}")


def read_header(
    fd: int, size: int, *, label: str, offset: int = 0, hyperparameters_only: bool = False
) -> Header:
    """Read the header of the GGUF that takes `size` bytes at `offset` of the open file `fd`.

    With `hyperparameters_only`, stop at the tokenizer, whose long lists take most of the time.
    Raise GGUFError, with `label` as the file's name, on anything that is not sound.
    """
    scanner = _Scanner(lambda count, at: os.pread(fd, count, offset + at), size, label)
    return scanner.header(hyperparameters_only)


def parse_header(start: bytes, *, label: str) -> Header:
    """Read the header from the first bytes of a GGUF."""
    scanner = _Scanner(lambda count, at: start[at : at + count], len(start), label)
    return scanner.header(hyperparameters_only=False)


def read_header_from(
    read: Callable[[int, int], bytes], size: int, *, label: str, hyperparameters_only: bool = False
) -> Header:
    """Read the header of a GGUF of `size` bytes; `read(offset, length)` gives its bytes."""
    scanner = _Scanner(lambda count, at: read(at, count), size, label)
    return scanner.header(hyperparameters_only)


class _Scanner:
    """A cursor over the header, refusing to step outside the file."""

    BLOCK = 1 << 20

    def __init__(self, read_at: Callable[[int, int], bytes], size: int, label: str) -> None:
        self.read_at = read_at
        self.size = size
        self.label = label
        self.position = 0
        self._start = 0
        self._buffer = b""

    def header(self, hyperparameters_only: bool) -> Header:
        start = self.read_at(min(self.size, file_magic.FIRST_BYTES), 0)
        if start[:4] != MAGIC:
            what, cure = file_magic.identify(start)
            raise GGUFError(f"{self.label} is not a GGUF: it is {what}", hint=cure)
        self.position = 4
        version = self._version()
        tensor_count, pair_count = self._unpack("<QQ")
        remaining = self.size - self.position
        if tensor_count > min(remaining // 24, bounds.GGUF_TENSORS) or pair_count > min(
            remaining // 12, bounds.GGUF_KEYS
        ):
            raise self._unsound(f"it claims {tensor_count} tensors and {pair_count} keys")
        metadata: dict[str, Value] = {}
        spans: dict[str, tuple[int, int]] = {}
        for _ in range(pair_count):
            begin = self.position
            key = self._string()
            if key in metadata:
                raise self._unsound(f"the key '{key}' appears twice")
            architecture = metadata.get("general.architecture")
            known = f"{architecture}.block_count" in metadata
            if hyperparameters_only and known and key.startswith("tokenizer."):
                return Header(version, metadata, spans, (), 0)
            metadata[key] = self._value(*self._unpack("<I"))
            spans[key] = (begin, self.position)
        return self._with_tensors(version, metadata, spans, tensor_count)

    def _with_tensors(
        self,
        version: int,
        metadata: dict[str, Value],
        spans: dict[str, tuple[int, int]],
        count: int,
    ) -> Header:
        alignment = Header(version, metadata, {}, (), 0).alignment
        if not 0 < alignment <= bounds.GGUF_ALIGNMENT or alignment & (alignment - 1):
            raise self._unsound(
                f"its alignment is {alignment}, not a power of two up to {bounds.GGUF_ALIGNMENT}"
            )
        tensors: dict[str, Tensor] = {}
        for _ in range(count):
            tensor = self._tensor(alignment)
            if tensor.name in tensors:
                raise self._unsound(f"two tensors have the same name '{tensor.name}'")
            tensors[tensor.name] = tensor
        data = -(-self.position // alignment) * alignment
        return Header(version, metadata, spans, tuple(tensors.values()), data)

    def _version(self) -> int:
        version: int = self._unpack("<I")[0]
        if version in VERSIONS:
            return version
        if int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
            raise GGUFError(
                f"{self.label} is a big-endian GGUF, which this engine cannot read",
                hint="get the little-endian file, or convert it with gguf-py's "
                "gguf_convert_endian.py",
            )
        raise GGUFError(
            f"{self.label} is GGUF version {version}; versions 2 and 3 can be read",
            hint="convert the model again with a current llama.cpp",
        )

    def _tensor(self, alignment: int) -> Tensor:
        name = self._string()
        (dimensions,) = self._unpack("<I")
        if dimensions > bounds.GGUF_DIMENSIONS:
            raise self._unsound(f"tensor '{name}' has {dimensions} dimensions")
        shape = self._unpack(f"<{dimensions}Q")
        kind, offset = self._unpack("<IQ")
        if offset % alignment:
            raise self._unsound(f"tensor '{name}' is not aligned")
        count = prod(shape)
        if count >= 1 << 62 or offset >= 1 << 62:
            raise self._unsound(f"tensor '{name}' has an impossible size")
        size = 0
        if kind in TYPES:
            type_name, values, size_of_block = TYPES[kind]
            if shape and shape[0] % values:
                raise self._unsound(
                    f"tensor '{name}' has rows of {shape[0]}, which {type_name} cannot hold"
                )
            size = count // values * size_of_block
        return Tensor(name, shape, kind, offset, size)

    def _value(self, kind: int) -> Value:
        if kind in _SCALARS:
            scalar: Scalar = self._unpack(_SCALARS[kind])[0]
            return scalar
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        raise self._unsound(f"a value has the unknown type {kind}")

    def _array(self) -> list[Any]:
        kind, count = self._unpack("<IQ")
        if kind in _SCALARS:
            layout = _SCALARS[kind]
            length = self._checked(count * layout.size)
            if count > KEEP_MAX:
                self.position += length
                return []
            return [value for (value,) in layout.iter_unpack(self._take(length))]
        if kind == _STRING:
            if count > bounds.GGUF_LIST:
                raise self._unsound(f"a list claims {count} texts, at most {bounds.GGUF_LIST}")
            self._checked(count * 8)
            if count <= KEEP_MAX:
                return [self._string() for _ in range(count)]
            self._skip_texts(count)
            return []
        raise self._unsound(f"an array has the unknown element type {kind}")

    def _skip_texts(self, count: int) -> None:
        """Step over `count` texts, of which there may be hundreds of thousands."""
        while count:
            (length,) = self._unpack(_LENGTH)
            self.position += self._checked(length)
            count -= 1
            # The same for those whose length lies in the buffer, without a call for each.
            buffer, place = self._buffer, self.position - self._start
            last = min(len(buffer), self.size - self._start) - _LENGTH.size
            while count and 0 <= place <= last:
                (length,) = _LENGTH.unpack_from(buffer, place)
                place += _LENGTH.size + length
                count -= 1
            self.position = self._start + place
            self._checked(0)

    def _string(self) -> str:
        (length,) = self._unpack("<Q")
        if length > bounds.GGUF_TEXT:
            raise self._unsound(f"a string claims {length} bytes")
        return self._take(self._checked(length)).decode("utf-8", "replace")

    def _unpack(self, layout: str | struct.Struct) -> tuple[Any, ...]:
        if isinstance(layout, str):
            layout = struct.Struct(layout)
        return layout.unpack(self._take(self._checked(layout.size)))

    def _checked(self, length: int) -> int:
        if length > self.size - self.position:
            raise GGUFError(
                f"{self.label} is truncated: its header asks for bytes up to "
                f"{self.position + length}, the file ends at {self.size}",
                hint="download or copy it again",
            )
        if self.position + length > bounds.GGUF_HEADER:
            raise self._unsound(f"it takes more than {bounds.GGUF_HEADER:,} bytes")
        return length

    def _take(self, length: int) -> bytes:
        begin = self.position - self._start
        if begin < 0 or begin + length > len(self._buffer):
            want = min(max(length, self.BLOCK), self.size - self.position)
            self._buffer = self.read_at(want, self.position)
            self._start, begin = self.position, 0
            if len(self._buffer) < length:
                raise self._unsound("it became shorter while it was read")
        self.position += length
        return self._buffer[begin : begin + length]

    def _unsound(self, problem: str) -> GGUFError:
        return GGUFError(
            f"{self.label} has a damaged header: {problem}", hint="download or copy it again"
        )
