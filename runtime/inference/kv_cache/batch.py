"""Batch of tokens for one decode step: a `llama_batch`, reused between steps."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from runtime.model.llama_api import api


class Batch:
    """A `llama_batch` with a fixed capacity, owned by this object until `close`."""

    def __init__(self, room: int) -> None:
        """Allocate room for `room` tokens, each of which belongs to one sequence."""
        self.room = room
        self.count = 0
        self._batch = api.llama_batch_init(room, 0, 1)
        # ctypes arrays over the same memory: assigning slices of them is fast.
        self._tokens = _array(self._batch.token, ctypes.c_int32, room)
        self._positions = _array(self._batch.pos, ctypes.c_int32, room)
        self._wanted = _array(self._batch.logits, ctypes.c_int8, room)
        self._sequences = [self._batch.seq_id[index] for index in range(room)]
        for index in range(room):
            self._batch.n_seq_id[index] = 1

    def close(self) -> None:
        """Free the batch."""
        api.llama_batch_free(self._batch)

    def clear(self) -> None:
        """Remove all tokens."""
        self.count = 0

    def add(
        self,
        sequence: int,
        tokens: Sequence[int],
        position: int,
        *,
        answer: bool,
        pooled: bool = False,
    ) -> int:
        """Append tokens of a sequence, from `position` on; return the batch index of the last one.

        With `answer`, the engine computes the logits of that last token; with `pooled`, what all
        of them together give.
        """
        begin, end = self.count, self.count + len(tokens)
        self._tokens[begin:end] = tokens
        self._positions[begin:end] = range(position, position + len(tokens))
        self._wanted[begin:end] = bytes([pooled]) * len(tokens)
        for index in range(begin, end):
            self._sequences[index][0] = sequence
        self._wanted[end - 1] = answer or pooled
        self.count = end
        return end - 1

    def decode(self, context: object) -> int:
        """Run llama_decode on the batch; return its status, 0 for success."""
        self._batch.n_tokens = self.count
        return int(api.llama_decode(context, self._batch))


def _array(pointer: Any, kind: Any, count: int) -> Any:
    return ctypes.cast(pointer, ctypes.POINTER(kind * count)).contents
