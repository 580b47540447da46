"""Size of a bundled model by tensor type, original and compressed."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import GGUFError
from runtime.gguf.header import Header, read_header
from runtime.weights.decompress import chunk_table_of, read_gguf_header

HEADER = "header"


def bytes_by_type(bundle: Bundle, section: Section) -> Mapping[str, tuple[int, int]]:
    """Return (original, coded) bytes for each type of weights, most first.

    A type's name is ggml's; header, vocabulary and padding count as "header". Empty where the
    section's content is no sound GGUF.
    """
    try:
        header = _header(bundle, section)
    except GGUFError:
        return {}
    tensors = sorted(header.tensors, key=lambda tensor: tensor.offset)
    starts = [header.data_offset + tensor.offset for tensor in tensors]
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    if section.codec == "stored":
        for tensor in tensors:
            sums[tensor.type_name][0] += tensor.size
            sums[tensor.type_name][1] += tensor.size
        rest = section.size - sum(tensor.size for tensor in tensors)
        sums[HEADER] = [rest, rest]
    else:
        for chunk in chunk_table_of(bundle, section):
            index = bisect_right(starts, chunk.target) - 1
            name = tensors[index].type_name if index >= 0 else HEADER
            sums[name][0] += chunk.size
            sums[name][1] += chunk.length
    ordered = sorted(sums.items(), key=lambda item: -item[1][0])
    return {name: (size, coded) for name, (size, coded) in ordered}


def _header(bundle: Bundle, section: Section) -> Header:
    if section.codec == "stored":
        return read_header(bundle.fd, section.size, label=section.name, offset=section.offset)
    return read_gguf_header(bundle, section, label=section.name, hyperparameters_only=False)
