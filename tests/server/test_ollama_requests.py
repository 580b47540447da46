"""What Ollama's requests become: conversations with calls that have identities, and options."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.messages import PlacedPart, TextPart, template_messages
from runtime.server.protocols.ollama.chat_request import as_chat, chat_messages
from runtime.server.protocols.ollama.models import _human
from runtime.server.protocols.ollama.types import OllamaChatRequest
from runtime.server.protocols.openai_types import ChatRequest
from runtime.server.service.media_input import MediaInput


def read(**fields: Any) -> OllamaChatRequest:
    return msgspec.convert({"messages": [], **fields}, OllamaChatRequest)


def chat(**fields: Any) -> ChatRequest:
    request = read(**fields)
    return as_chat(request, chat_messages(request.messages), tools=request.tools)


def calls(*names: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [{"function": {"name": name, "arguments": {"a": 1}}} for name in names],
    }


def told(name: str = "", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": "x", **({"tool_name": name} if name else {}), **fields}


def test_what_tools_answered_gets_the_identity_of_its_call() -> None:
    conversation = [calls("a", "b", "a"), told("b"), told("a"), told("a"), calls("c"), told()]
    found = chat(messages=conversation).messages

    identities = [call.id for call in found[0].tool_calls or ()]
    assert 3 == len({*identities})
    first, second, third = identities
    assert [second, first, third] == [one.tool_call_id for one in found[1:4]]
    assert [found[5].tool_call_id] == [call.id for call in found[4].tool_calls or ()]


def test_identities_that_are_given_are_kept() -> None:
    call = {"id": "mine", "function": {"name": "a", "arguments": {}}}
    conversation = [{"role": "assistant", "tool_calls": [call]}, told(tool_call_id="mine")]
    found = chat(messages=conversation).messages
    assert ["mine"] == [one.id for one in found[0].tool_calls or ()]
    assert "mine" == found[1].tool_call_id
    assert "lost" == chat(messages=[told(tool_call_id="lost")]).messages[0].tool_call_id
    assert chat(messages=[told("a")]).messages[0].tool_call_id is None


def test_the_format_of_an_answer() -> None:
    for form in (None, ""):
        assert chat(format=form).response_format is None
    plain, schema = chat(format="json").response_format, chat(format={}).response_format
    assert plain is not None
    assert schema is not None
    assert ("json_object", "json_schema") == (plain.type, schema.type)


@pytest.mark.parametrize(
    ("thinks", "variables", "effort"),
    [
        (None, {}, None),
        (True, {"enable_thinking": True}, None),
        (False, {"enable_thinking": False}, None),
        ("none", {"enable_thinking": False}, None),
        ("high", {"enable_thinking": True}, "high"),
    ],
)
def test_whether_it_reasons(thinks: Any, variables: Any, effort: Any) -> None:
    found = chat(think=thinks)
    assert (variables, effort) == (found.chat_template_kwargs, found.reasoning_effort)


def test_options_are_read_as_ollama_reads_them() -> None:
    options = {"num_predict": 7.9, "top_k": 3.0, "seed": 5, "temperature": 1, "num_ctx": "any"}
    found = chat(options={**options, "stop": ["a", "b"]})
    assert (7, 3, 5, 1.0) == (found.max_tokens, found.top_k, found.seed, found.temperature)
    assert ["a", "b"] == found.stop
    for limit in (-2, -1, 0):
        assert -1 == chat(options={"num_predict": limit}).max_tokens
    assert chat().max_tokens is None
    assert chat(top_logprobs=3).top_logprobs is None  # without logprobs it means nothing


def test_pictures_come_before_the_text_and_know_their_place() -> None:
    picture = {"role": "user", "content": "what?", "images": ["aGk="]}
    found = chat(messages=[{"role": "user"}, picture, {**picture, "content": ""}]).messages
    places = ("messages[1].images[0]", "messages[2].images[0]")
    seen, alone = (PlacedPart("image_url", image_url="aGk=", where=place) for place in places)
    assert ["", [seen, TextPart("text", "what?")], [alone]] == [one.content for one in found]

    with pytest.raises(HTTPError, match=r"'messages\[1\].images\[0\]'") as caught:
        template_messages(found, MediaInput(None, None))
    assert places[0] == caught.value.param


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999"), (1000, "1K"), (1_837_312, "1.8M"), (7 * 10**9, "7B"), (8_030_261_312, "8B")],
)
def test_numbers_of_parameters(count: int, text: str) -> None:
    assert text == _human(count)
