"""Store of responses, in memory alone: what `previous_response_id` and item references lead to.

It holds the latest responses, up to a number and a size; what is older is forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from runtime import bounds
from runtime.server.http.http_error import HTTPError, encode
from runtime.server.protocols.responses.requests import Item
from runtime.server.protocols.responses.response import OutputItem, Response

_items = msgspec.json.Decoder(list[Item]).decode


@dataclass(frozen=True)
class Kept:
    """A response, and the conversation up to it, as JSON: as objects they take far more room."""

    response: msgspec.Raw
    given_json: bytes
    answered_json: bytes
    names: tuple[str, ...]
    """The identities of the items of the answer."""
    before: Kept | None
    size: int
    """Bytes of it, and of all that was before."""

    @property
    def given(self) -> list[Item]:
        """Return what it was asked for with, beside what was before."""
        return _items(self.given_json)

    @property
    def answered(self) -> list[Item]:
        """Return the answer as the next request has it."""
        return _items(self.answered_json)

    @property
    def items(self) -> list[Item]:
        """Return the whole conversation."""
        turns: list[Kept] = []
        one: Kept | None = self
        while one is not None:
            turns.append(one)
            one = one.before
        return [item for turn in reversed(turns) for item in (*turn.given, *turn.answered)]


class ResponseStore:
    """Responses by their identities; used by the threads that prepare requests, too."""

    def __init__(
        self, count: int = bounds.STORED_RESPONSES, size: int = bounds.STORED_BYTES
    ) -> None:
        self._most = count
        self._room = size
        self._held: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0
        self._answers: dict[str, str] = {}
        """The responses that items belong to, by the identities of both."""
        self._lock = threading.Lock()

    def get(self, name: str, field: str = "previous_response_id") -> Kept:
        """Return a response; raise HTTPError, which names the `field`, if there is none."""
        with self._lock:
            found = self._held.get(name)
            if found is None:
                raise HTTPError(
                    404 if not field else 400,
                    f"there is no response '{name}' here (any more): responses are kept in "
                    "memory, the latest of them; send the whole conversation as 'input'",
                    param=field or None,
                    code="previous_response_not_found" if field else None,
                )
            self._held.move_to_end(name)
            return found

    def item(self, name: str, field: str) -> Item:
        """Return an item of an answer; raise HTTPError, which names the `field`, if it is gone."""
        with self._lock:
            kept = self._held.get(self._answers.get(name, ""))
        if kept is None:
            raise HTTPError(
                400, f"there is no item '{name}' here (any more); send it whole", param=field
            )
        return next(item for item in kept.answered if item.id == name)

    def keep(
        self,
        response: Response,
        given: Sequence[Item],
        answered: Sequence[OutputItem],
        before: Kept | None,
    ) -> None:
        """Keep a response; forget the oldest ones if there is no room."""
        texts = encode(response), encode(given), encode(answered)
        names = tuple(item.id for item in answered)
        size = sum(map(len, texts)) + (before.size if before else 0)
        kept = Kept(msgspec.Raw(texts[0]), texts[1], texts[2], names, before, size)
        with self._lock:
            self._held[response.id] = kept
            self._size += size
            self._answers |= dict.fromkeys(names, response.id)
            while self._held and (len(self._held) > self._most or self._size > self._room):
                self._forget(next(iter(self._held)))

    def delete(self, name: str) -> None:
        """Forget a response; raise HTTPError if there is none."""
        self.get(name, "")
        with self._lock:
            self._forget(name)

    def _forget(self, name: str) -> None:
        found = self._held.pop(name, None)
        if found:
            self._size -= found.size
            for item in found.names:
                self._answers.pop(item, None)
