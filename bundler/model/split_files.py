"""Merge a model that llama.cpp's gguf-split has split into several GGUF files."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file
from runtime.container.extents import Extent, Extents
from runtime.errors import GGUFError
from runtime.gguf.header import MAGIC, Header, Tensor, read_header
from runtime.gguf.tensor_types import TYPES
from runtime.host import user_files

NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
KEYS = ("split.no", "split.count", "split.tensors.count")


@dataclass(frozen=True)
class Opened:
    """An open GGUF file with its whole header."""

    path: Path
    fd: int
    size: int
    header: Header


def open_file(path: Path) -> Opened:
    """Open `path` and read its header; raise GGUFError on anything unsound."""
    fd = -1
    try:
        fd = user_files.open_seekable(path)
        size = os.fstat(fd).st_size
        os.pread(fd, 1, 0)  # a folder opens, but cannot be read
        _require_no_bundle(fd, path)
        return Opened(path, fd, size, read_header(fd, size, label=str(path)))
    except BaseException as exc:
        if fd >= 0:
            os.close(fd)
        if isinstance(exc, IsADirectoryError):
            raise GGUFError(f"{path} is a folder", hint="name the .gguf file inside it") from exc
        if isinstance(exc, OSError):
            raise GGUFError(
                f"{path} cannot be read: {exc.strerror}", hint="check the name and its permissions"
            ) from exc
        raise


def _require_no_bundle(fd: int, path: Path) -> None:
    """Refuse what was made here; the payload beside a program even begins like a model."""
    bundle = bundle_file.read(fd, str(path))
    if bundle is None:
        return
    if bundle.footer.pkg_length:
        raise GGUFError(
            f"{path} is a program already, made by modelembed",
            hint=f"take the model out of it with: modelembed extract {path}; or change what is "
            "baked in: modelembed edit",
        )
    raise GGUFError(
        f"{path} is the payload of a program made by modelembed, not a model by itself",
        hint="take the model out of it with: modelembed extract PROGRAM",
    )


def parts(first: Opened) -> list[Opened]:
    """Return all parts of the split that `first` belongs to, in order; itself if it is whole."""
    count = first.header.number("split.count")
    if count <= 1:
        return [first]
    match = NAME.fullmatch(first.path.name)
    if match is None:
        raise GGUFError(
            f"{first.path} is part {first.header.number('split.no') + 1} of {count} of a split "
            "model, but its name does not say so",
            hint="give the parts their original names, NAME-00001-of-00003.gguf and so on",
        )
    if count != int(match["count"]):
        raise GGUFError(
            f"{first.path} says it is one of {count} parts of a split model, its name says of "
            f"{match['count']}",
            hint="it was renamed: give the parts their original names",
        )
    paths = [
        first.path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf")
        for number in range(1, count + 1)
    ]
    if missing := [path.name for path in paths if not path.exists()]:
        raise GGUFError(
            f"{first.path} is one of {count} parts of a split model; missing beside it: "
            + ", ".join(missing),
            hint="put all parts into one folder",
        )
    opened = [first if path == first.path else open_file(path) for path in paths]
    for number, part in enumerate(opened):
        found = (part.header.number("split.no"), part.header.number("split.count"))
        if found != (number, count):
            raise GGUFError(
                f"{part.path} says it is part {found[0] + 1} of {found[1]}, expected part "
                f"{number + 1} of {count}",
                hint="it belongs to another model, or was renamed",
            )
    return opened


def merged(opened: Sequence[Opened]) -> Extents:
    """Return the parts as one GGUF: the first one's keys, everybody's tensors."""
    if len(opened) == 1:
        return Extents([Extent(opened[0].fd, 0, opened[0].size)])
    first = opened[0]
    expected = first.header.number("split.tensors.count")
    tensors = [(part, tensor) for part in opened for tensor in part.header.tensors]
    if expected and len(tensors) != expected:
        raise GGUFError(
            f"the parts of {first.path} hold {len(tensors)} tensors together, expected {expected}",
            hint="download the parts again",
        )
    for part, tensor in tensors:
        if tensor.type not in TYPES:
            raise GGUFError(
                f"{part.path} has weights of an unknown type: '{tensor.name}' is "
                f"{tensor.type_name}",
                hint="merge the parts with llama.cpp's llama-gguf-split --merge first",
            )
    alignment = first.header.alignment
    keys = {key: span for key, span in first.header.spans.items() if key not in KEYS}
    head = struct.pack("<4sIQQ", MAGIC, 3, len(tensors), len(keys))
    head += b"".join(os.pread(first.fd, end - begin, begin) for begin, end in keys.values())
    offset = 0
    body: list[Extent | bytes] = []
    for part, tensor in tensors:
        head += _tensor_info(tensor, offset)
        padded = -(-tensor.size // alignment) * alignment
        body.append(Extent(part.fd, part.header.data_offset + tensor.offset, tensor.size))
        body.append(b"\0" * (padded - tensor.size))
        offset += padded
    head = head.ljust(-(-len(head) // alignment) * alignment, b"\0")
    return Extents([head, *body])


def _tensor_info(tensor: Tensor, offset: int) -> bytes:
    name = tensor.name.encode()
    dimensions = len(tensor.shape)
    return (
        struct.pack("<Q", len(name))
        + name
        + struct.pack(f"<I{dimensions}QIQ", dimensions, *tensor.shape, tensor.type, offset)
    )
