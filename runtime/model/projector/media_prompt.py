"""Prompt with media: tokens, and cells in the places of what the model sees or hears.

A cell is a negative number where a token would be. It is made from what is seen, so that prompts
with the same picture have the same cells, and are told apart from others as tokens are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

INDEX_BITS = 24
"""Of a cell: which one it is of its chunk, at most 16 million."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """What a model takes in at once for a picture or a sound, or a part of it."""

    handle: Any
    """A `mtmd_input_chunk*`, owned by `owner`."""
    owner: Chunks
    cells: Sequence[int]
    positions: int
    """By how much the position of what follows is further on; at most as many as the cells are."""


class Chunks:
    """A `mtmd_input_chunks*`, freed when nobody uses any of its chunks any more."""

    def __init__(self, handle: Any, free: Callable[[Any], object]) -> None:
        self.handle = handle
        weakref.finalize(self, free, handle)


class MediaPrompt(list[int]):
    """Tokens and cells of a prompt."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        super().__init__(tokens)
        self.chunks: dict[int, Chunk] = {}
        """By their first cells."""

    def add(self, chunk: Chunk) -> None:
        """Append a chunk."""
        self.chunks[chunk.cells[0]] = chunk
        self += chunk.cells


def chunks_of(prompt: Sequence[int]) -> Mapping[int, Chunk]:
    """Return the chunks of a prompt by their first cells; tokens alone have none."""
    return prompt.chunks if isinstance(prompt, MediaPrompt) else {}


def behind(before: Iterable[int], prompt: Sequence[int], start: int = 0) -> MediaPrompt:
    """Return the tokens `before`, and behind them a prompt from its token `start` on."""
    found = MediaPrompt([*before, *prompt[start:]])
    found.chunks.update(chunks_of(prompt))
    return found


def cells_of(digest: str, number: int, count: int, positions: int) -> list[int]:
    """Return the cells of the part `number` of a picture or sound.

    It takes `count` of them in the context, of which the first `positions` have one each.
    """
    name = f"{digest}/{number}/{count}/{positions}".encode()
    base = int.from_bytes(sha256(name).digest()[:8]) << INDEX_BITS
    return [~((base + index) << 1 | (index < positions)) for index in range(count)]


def without_cells(tokens: Iterable[int]) -> list[int]:
    """Return the tokens alone."""
    return [token for token in tokens if token >= 0]


def lag_of(tokens: Iterable[int]) -> int:
    """Return by how much the position behind `tokens` is less than their number."""
    return sum(token < 0 and not ~token & 1 for token in tokens)


def whole_length(tokens: Sequence[int], length: int) -> int:
    """Return the length of the longest beginning, at most `length`, that ends with no cut chunk."""
    if not 0 < length < len(tokens) or tokens[length] >= 0:
        return length
    mask = (1 << INDEX_BITS) - 1
    return length - (~tokens[length] >> 1 & mask)
