"""Responses that are kept in memory, within bounds."""

from __future__ import annotations

import pytest

from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.responses.requests import (
    Item,
    ReasoningConfig,
    TextConfig,
)
from runtime.server.protocols.responses.response import OutputMessage, OutputText, Response
from runtime.server.protocols.responses.store import ResponseStore


def kept(store: ResponseStore, name: str, said: str, before: str = "") -> None:
    """Keep a response that says something."""
    message = OutputMessage(id=f"msg_{name}", status="completed", content=[OutputText(text=said)])
    response = Response(
        id=name, created_at=0, status="completed", model="m", output=[message],
        previous_response_id=before or None, store=True, instructions=None, max_output_tokens=None,
        metadata={}, parallel_tool_calls=True, reasoning=ReasoningConfig(), temperature=0.0,
        text=TextConfig(), tool_choice="auto", tools=[], top_p=1.0, top_logprobs=0,
        truncation="disabled", max_tool_calls=None, prompt_cache_key=None, safety_identifier=None,
        user=None,
    )  # fmt: skip
    asked = Item(role="user", content=f"asked for {said}")
    store.keep(response, [asked], [message], store.get(before) if before else None)


def texts(store: ResponseStore, name: str) -> list[str]:
    found = []
    for item in store.get(name).items:
        parts = item.content or ""
        found += [parts] if isinstance(parts, str) else [part.text or "" for part in parts]
    return found


def test_a_conversation_is_all_that_was_before() -> None:
    store = ResponseStore()
    kept(store, "a", "one")
    kept(store, "b", "two", before="a")
    kept(store, "c", "other", before="a")
    assert ["asked for one", "one", "asked for two", "two"] == texts(store, "b")
    assert ["asked for one", "one", "asked for other", "other"] == texts(store, "c")
    assert "two" == store.item("msg_b", "input[0]").content[0].text  # type: ignore[index, union-attr]


def test_the_oldest_is_forgotten_but_not_what_goes_on_from_it() -> None:
    store = ResponseStore(count=2)
    kept(store, "a", "one")
    kept(store, "b", "two", before="a")
    kept(store, "c", "three", before="b")
    with pytest.raises(HTTPError, match="there is no response 'a'") as caught:
        store.get("a")
    assert (400, "previous_response_id") == (caught.value.status, caught.value.param)
    with pytest.raises(HTTPError, match="there is no item"):
        store.item("msg_a", "input[0]")
    assert "one" in texts(store, "c")


def test_what_is_asked_for_stays_longer() -> None:
    store = ResponseStore(count=2)
    kept(store, "a", "one")
    kept(store, "b", "two")
    store.get("a")
    kept(store, "c", "three")
    assert texts(store, "a")
    with pytest.raises(HTTPError):
        store.get("b")


def test_there_is_room_for_so_many_bytes() -> None:
    store = ResponseStore(size=10_000)
    kept(store, "a", "x" * 2000)
    kept(store, "b", "x" * 100)
    kept(store, "c", "y", before="b")
    with pytest.raises(HTTPError):
        store.get("a")
    assert texts(store, "c")
    kept(store, "d", "z" * 20_000)  # more than there ever is room for
    for name in "bcd":
        with pytest.raises(HTTPError):
            store.get(name)


def test_one_can_be_forgotten() -> None:
    store = ResponseStore()
    kept(store, "a", "one")
    store.delete("a")
    with pytest.raises(HTTPError) as caught:
        store.delete("a")
    assert 404 == caught.value.status
