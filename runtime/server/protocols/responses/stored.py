"""Responses that are remembered: looked at by their identities, and forgotten."""

from __future__ import annotations

import copy

from msgspec import Raw, Struct

from runtime.server.http.endpoint import PathName
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.responses.requests import Item, Part
from runtime.server.protocols.responses.response import new_id
from runtime.server.protocols.responses.store import ResponseStore


class Deleted(Struct):
    """That a response is forgotten."""

    id: str
    object: str = "response"
    deleted: bool = True


class InputItems(Struct, kw_only=True):
    """What a response was asked for with."""

    object: str = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


class StoredResponses:
    """The handlers of paths that name a response."""

    def __init__(self, store: ResponseStore | None) -> None:
        """Without a store there is none."""
        self._store = store

    async def retrieve(self, path: PathName) -> Raw:
        """Return a response; raise HTTPError if there is none."""
        return self._known(path.name).get(path.name, "").response

    async def delete(self, path: PathName) -> Deleted:
        """Forget a response; raise HTTPError if there is none."""
        self._known(path.name).delete(path.name)
        return Deleted(path.name)

    async def input_items(self, path: PathName) -> InputItems:
        """Return the items that a response was asked for with, the last one first."""
        given = reversed(self._known(path.name).get(path.name, "").given)
        items = [_written_out(item) for item in given]
        ends = (items[0].id, items[-1].id) if items else (None, None)
        return InputItems(data=items, first_id=ends[0], last_id=ends[1])

    def _known(self, name: str) -> ResponseStore:
        if self._store is None:
            raise HTTPError(404, f"there is no response '{name}': with --workers none is kept")
        return self._store


def _written_out(item: Item) -> Item:
    """Return an item with what is left out in short forms."""
    found = copy.copy(item)
    found.id = item.id or new_id("item")
    if item.role:
        found.type = "message"
        if isinstance(item.content, str):
            kind = "output_text" if item.role == "assistant" else "input_text"
            found.content = [Part(type=kind, text=item.content)]
    return found
