"""Items of a Responses request, as the chat that they become."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime import bounds
from runtime.chat_format.carried_reasoning import packed
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.messages import InputAudio, PlacedPart, template_messages
from runtime.server.protocols.openai_types import NamedTool
from runtime.server.protocols.responses.plan import Draft
from runtime.server.protocols.responses.requests import ResponsesRequest
from runtime.server.protocols.responses.store import ResponseStore
from runtime.server.service.media_input import MediaInput

HI = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
CALLED = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
NOTHING = MediaInput(None, None)
"""What a model takes that takes text alone."""
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def draft(items: Any, **fields: Any) -> Draft:
    request = msgspec.convert({"input": items, **fields}, ResponsesRequest)
    return Draft.of(request, ResponseStore())


def messages(items: Any, **fields: Any) -> list[dict[str, Any]]:
    return template_messages(draft(items, **fields).chat.messages, NOTHING)


def refused(items: Any, **fields: Any) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        draft(items, **fields)
    assert caught.value.status == 400
    return caught.value


def test_a_text_is_what_the_user_says() -> None:
    assert [HI] == messages("Hi")
    assert [{"role": "system", "content": "Be brief."}, HI] == messages(
        "Hi", instructions="Be brief."
    )


@pytest.mark.parametrize("kind", ["input_text", "output_text", "text"])
def test_a_text_may_be_a_part(kind: str) -> None:
    assert [HI] == messages([{**HI, "content": [{"type": kind, "text": "Hi"}]}])


def test_several_parts_stay_apart() -> None:
    parts = [{"type": "input_text", "text": "Hi"}, {"type": "input_text", "text": "there"}]
    expected = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    assert [{"role": "user", "content": expected}] == messages([{**HI, "content": parts}])


def test_pictures_and_sounds_are_parts_that_know_their_place() -> None:
    picture = {"type": "input_image", "image_url": "data:,x", "detail": "auto"}
    sound = {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}}
    items = [HI, {**HI, "content": [picture]}, {**HI, "content": [sound]}]
    output = {"type": "function_call_output", "call_id": "c1", "output": [picture]}
    chat = draft([*items, CALL, output], instructions="Be brief.").chat

    assert [
        PlacedPart("image_url", image_url="data:,x", where="input[1].content[0]")
    ] == chat.messages[2].content
    assert [
        PlacedPart(
            "input_audio", input_audio=InputAudio("eA==", "wav"), where="input[2].content[0]"
        )
    ] == chat.messages[3].content
    assert [
        PlacedPart("image_url", image_url="data:,x", where="input[4].output[0]")
    ] == chat.messages[5].content
    with pytest.raises(HTTPError, match=r"'input\[1\].content\[0\]'.*reads text only"):
        template_messages(chat.messages, NOTHING)


def test_what_the_model_answered_at_once_is_one_message() -> None:
    items = [
        HI,
        {"type": "reasoning", "id": "rs_1", "summary": [],
         "content": [{"type": "reasoning_text", "text": "I see."}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "Well.", "annotations": []}]},
        {**CALL, "id": "fc_1", "status": "completed"},
        {**CALL, "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2",
         "output": [{"type": "input_text", "text": "two"}]},
    ]  # fmt: skip
    assert [
        HI,
        {"role": "assistant", "content": "Well.", "reasoning_content": "I see.",
         "tool_calls": [CALLED, {**CALLED, "id": "c2"}]},
        {"role": "tool", "content": "one", "tool_call_id": "c1"},
        {"role": "tool", "content": "two", "tool_call_id": "c2"},
    ] == messages(items)  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": [{"type": "summary_text", "text": "I see."}]},
        {"summary": [{"type": "summary_text", "text": "."}], "encrypted_content": packed("I see.")},
        {"summary": [], "content": [{"type": "reasoning_text", "text": "I see."}],
         "encrypted_content": packed("no")},
    ],
)  # fmt: skip
def test_reasoning_is_taken_from_where_it_is_whole(fields: dict[str, Any]) -> None:
    found = messages([HI, {"type": "reasoning", "id": "r", **fields}, CALL])
    assert "I see." == found[1]["reasoning_content"]


def test_reasoning_that_only_others_can_read_is_left_out() -> None:
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAA"}
    assert [HI, HI] == messages([HI, foreign, HI])


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
    tool = {"type": "custom", "name": "patch", "description": "Apply it.", "format": form}
    called = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"'}
    gave = {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}
    found = draft([HI, called, gave], tools=[tool])

    [function] = [one.function for one in found.chat.tools or ()]
    assert "Apply it." in (function.description or "")
    assert 'start: "x"' in (function.description or "")
    assert ["input"] == (function.parameters or {})["required"]
    arguments = template_messages(found.chat.messages, NOTHING)[1]["tool_calls"][0]["function"][
        "arguments"
    ]
    assert 'a "b"' == found.box.input_of(arguments)


def test_tools_of_a_namespace_are_functions() -> None:
    space = {"type": "namespace", "name": "crm", "description": "", "tools": [FUNCTION]}
    found = draft("Hi", tools=[FUNCTION, space])
    assert ["f", "crm__f"] == [one.function.name for one in found.chat.tools or ()]
    assert {"crm__f": ("f", "crm")} == found.box.namespaces


def test_tools_that_cannot_run_here_are_named() -> None:
    tools = [{"type": "web_search"}, FUNCTION, {"type": "mcp", "server_label": "x"},
             {"type": "web_search"}]  # fmt: skip
    found = draft([HI, {"type": "web_search_call", "id": "w", "status": "completed"}], tools=tools)
    assert ["web_search", "mcp", "web_search_call"] == found.skipped
    assert ["f"] == [one.function.name for one in found.chat.tools or ()]


def test_items_can_bring_tools_along() -> None:
    more = {"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}
    found = draft([more, HI, more])
    assert ["f"] == [one.function.name for one in found.chat.tools or ()]


def test_a_choice_of_tools() -> None:
    other = {**FUNCTION, "name": "g"}
    named = draft("Hi", tools=[FUNCTION], tool_choice={"type": "function", "name": "f"})
    assert isinstance(named.chat.tool_choice, NamedTool)
    few = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "g"}],
    }
    allowed = draft("Hi", tools=[FUNCTION, other], tool_choice=few)
    assert ["g"] == [one.function.name for one in allowed.chat.tools or ()]
    assert "required" == allowed.chat.tool_choice
    elsewhere = draft("Hi", tools=[FUNCTION], tool_choice={"type": "web_search"})
    assert ("auto", ["web_search"]) == (elsewhere.chat.tool_choice, elsewhere.skipped)


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([{**HI, "content": [{"type": "input_image", "detail": "low"}]}], "input[0].content[0]"),
        ([{**HI, "content": [{"type": "input_file", "text": "x"}]}], "input[0].content[0]"),
        ([HI, {"role": "user"}], "input[1].content"),
        ([{"type": "message", "content": "Hi"}], "input[0].role"),
        ([{}], "input[0]"),
        ([{"type": "function_call", "name": "f"}], "input[0].call_id"),
        ([{"type": "function_call", "call_id": "c"}], "input[0].name"),
        ([{"type": "function_call_output", "call_id": "c"}], "input[0].output"),
        ([{"type": "item_reference", "id": "msg_0"}], "input[0]"),
        ([CALL] * (bounds.CALLS + 1), f"input[{bounds.CALLS}]"),
        ([], "input"),
        (None, "input"),
    ],
)
def test_what_is_wrong_is_named(items: Any, field: str) -> None:
    assert field == refused(items).param


@pytest.mark.parametrize(
    "fields",
    [
        {"background": True}, {"conversation": "conv_1"}, {"prompt": {"id": "pmpt_1"}},
        {"previous_response_id": "resp_0"},
        {"tools": [{"type": "function", "parameters": {}}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION] * bounds.TOOLS},
                   {**FUNCTION, "name": "g"}, {**FUNCTION, "name": "h"}] +
                  [{**FUNCTION, "name": f"f{number}"} for number in range(bounds.TOOLS - 3)]},
        {"text": {"format": {"type": "json_schema", "name": "x"}}},
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused_by_name(fields: dict[str, Any]) -> None:
    assert next(iter(fields)) in (refused("Hi", **fields).param or "")
