"""Turns of a Messages request, as the chat that they become."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime import bounds
from runtime.chat_format.carried_reasoning import packed
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.anthropic.plan import chat_request
from runtime.server.protocols.anthropic.requests import MessagesRequest
from runtime.server.protocols.messages import PlacedPart, TextPart, template_messages
from runtime.server.protocols.openai_types import ChatRequest
from runtime.server.service.media_input import MediaInput

HI = {"role": "user", "content": "Hi"}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "one"}
CALLED = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
TOOL = {"name": "f", "description": "It does.", "input_schema": {"type": "object"}}
CODE = "You are Claude Code, Anthropic's official CLI for Claude."


def chat(*turns: Any, **fields: Any) -> tuple[ChatRequest, list[str]]:
    body = {"messages": turns or [HI], "max_tokens": 9, **fields}
    return chat_request(msgspec.convert(body, MessagesRequest))


def messages(*turns: Any, **fields: Any) -> list[dict[str, Any]]:
    return template_messages(chat(*turns, **fields)[0].messages, MediaInput(None, None))


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **fields}


def test_a_system_prompt_of_blocks_is_one_text() -> None:
    system = [text("Be brief."), text("\nBe kind.", cache_control={"type": "ephemeral"})]
    assert [{"role": "system", "content": "Be brief.\nBe kind."}, HI] == messages(system=system)
    assert [{"role": "system", "content": "Be brief."}, HI] == messages(system="Be brief.")


@pytest.mark.parametrize(
    "line",
    [
        "x-anthropic-billing-header: cc_version=2.1.101.e51; cc_entrypoint=cli; cch=a5145;",
        "x-anthropic-billing-header: cc_version=2.1.101.07c; cc_entrypoint=sdk-py; cch=00000;\n",
        "x-anthropic-billing-header: cc_version=2.1.36; cc_entrypoint=cli\n",
        "x-anthropic-billing-header: cc_version=3.0; cch=1; cc_workload=cron;",
    ],
)
def test_the_line_of_billing_is_left_out(line: str) -> None:
    for system in (line + CODE, [text(line), text(CODE)], [text(line.rstrip()), text(CODE)]):
        assert CODE == messages(system=system)[0]["content"]


def test_what_only_begins_as_billing_is_kept() -> None:
    system = f"x-anthropic-billing-header: cc_version=2; cch=a5145 {CODE}"
    assert f"cch=a5145 {CODE}" == messages(system=system)[0]["content"]


@pytest.mark.parametrize("other", [f"{CODE} x-anthropic-billing-header: cch=1;", "cch=a5145;", ""])
def test_no_other_line_is_left_out(other: str) -> None:
    assert other == messages(system=other)[0]["content"]


def test_turns_of_one_role_are_one_message() -> None:
    found = messages(HI, HI, {"role": "assistant", "content": "Yes?"}, HI)
    assert ["user", "assistant", "user"] == [message["role"] for message in found]
    assert [text("Hi"), text("Hi")] == found[0]["content"]


def test_an_answer_of_blocks_is_one_message() -> None:
    blocks = [{"type": "thinking", "thinking": "I see.", "signature": ""}, text("Well."), USE,
              {**USE, "id": "t2"}]  # fmt: skip
    results = [RESULT, {"type": "tool_result", "tool_use_id": "t2", "is_error": True,
                        "content": [text("two"), text(" of them")]}, text("Go on.")]  # fmt: skip
    assert [
        HI,
        {"role": "assistant", "content": "Well.", "reasoning_content": "I see.",
         "tool_calls": [CALLED, {**CALLED, "id": "t2"}]},
        {"role": "tool", "content": "one", "tool_call_id": "t1"},
        {"role": "tool", "content": "two of them", "tool_call_id": "t2"},
        {"role": "user", "content": "Go on."},
    ] == messages(
        HI, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}
    )  # fmt: skip


def test_thinking_that_was_not_shown_comes_back() -> None:
    hidden = {"type": "thinking", "thinking": "", "signature": packed("I see.")}
    foreign = {"type": "thinking", "thinking": "", "signature": "EqoB"}
    for block, thought in ((hidden, "I see."), (foreign, None)):
        found = messages(HI, {"role": "assistant", "content": [block, text("Yes.")]}, HI)
        assert thought == found[1].get("reasoning_content")


def test_documents_of_text_are_read() -> None:
    plain = {"type": "document", "title": "Notes", "source": {
        "type": "text", "media_type": "text/plain", "data": "It rains."}}  # fmt: skip
    blocks = {"type": "document", "source": {"type": "content", "content": [text("It snows.")]}}
    result = {"type": "search_result", "source": "https://example.org", "title": "Weather",
              "content": [text("It shines.")]}  # fmt: skip
    [found] = messages({"role": "user", "content": [plain, blocks, result]})
    assert ["Notes\nIt rains.", "It snows.", "Weather\nhttps://example.org\nIt shines."] == [
        part["text"] for part in found["content"]
    ]


def test_what_has_happened_elsewhere_is_named() -> None:
    blocks = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
              {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
                  {"type": "web_search_result", "url": "u", "title": "t"}]},
              {"type": "redacted_thinking", "data": "x"}, text("Yes.")]  # fmt: skip
    tools = [TOOL, {"type": "web_search_20250305", "name": "web_search"},
             {"type": "bash_20250124", "name": "bash"}]  # fmt: skip
    found, skipped = chat(HI, {"role": "assistant", "content": blocks}, HI, tools=tools)
    assert ["web_search_20250305", "bash_20250124", "server_tool_use", "web_search_tool_result",
            "redacted_thinking"] == skipped  # fmt: skip
    assert ["f"] == [tool.function.name for tool in found.tools or ()]


@pytest.mark.parametrize(
    ("given", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any"}, "required", None),
        ({"type": "none"}, "none", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
    ],
)
def test_a_choice_of_tools(given: Any, expected: str, parallel: bool | None) -> None:
    found, _ = chat(tools=[TOOL], tool_choice=given)
    assert (expected, parallel) == (found.tool_choice, found.parallel_tool_calls)


def test_one_tool_can_be_named() -> None:
    found, _ = chat(tools=[TOOL], tool_choice={"type": "tool", "name": "f"})
    assert "f" == found.tool_choice.function.name  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "enabled", "budget"),
    [
        (None, None, None),
        ({"type": "enabled", "budget_tokens": 1024}, True, 1024),
        ({"type": "disabled"}, False, None),
        ({"type": "adaptive"}, True, None),
    ],
)
def test_thinking(given: Any, enabled: bool | None, budget: int | None) -> None:
    found, _ = chat(**({"thinking": given} if given else {}))
    assert enabled == found.chat_template_kwargs.get("enable_thinking")
    assert budget == found.thinking_budget_tokens


def test_stops_and_forms() -> None:
    schema = {"type": "object"}
    wanted = {"type": "json_schema", "schema": schema}
    for fields in ({"output_config": {"format": wanted, "effort": "low"}},
                   {"output_format": wanted}):  # fmt: skip
        found, _ = chat(stop_sequences=["x"], **fields)
        assert ["x"] == found.stop
        assert found.response_format and found.response_format.json_schema
        assert schema == found.response_format.json_schema.schema
    assert 9 == found.max_completion_tokens


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ([{"type": "image", "source": {"type": "file", "data": "x"}}], "messages[0].content[0]"),
        ([{"type": "image", "source": {"type": "url", "data": "x"}}], "messages[0].content[0]"),
        ([{"type": "document", "source": {"type": "base64", "data": "x"}}],
         "messages[0].content[0]"),
        ([{"type": "text"}], "messages[0].content[0]"),
        ([text("a"), {"type": "tool_result"}], "messages[0].content[1].tool_use_id"),
        ([{**RESULT, "content": [{"type": "image"}]}], "messages[0].content[0].content[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(content: Any, field: str) -> None:
    with pytest.raises(HTTPError) as caught:
        chat({"role": "user", "content": content})
    assert (400, field) == (caught.value.status, caught.value.param)


def test_pictures_are_parts_that_know_their_place() -> None:
    data = {"type": "base64", "media_type": "image/png", "data": "eA=="}
    picture = {"type": "image", "source": data}
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    asked = {"role": "user", "content": [picture, text("What?"), linked]}
    result = {"role": "user", "content": [{**RESULT, "content": [text("one"), picture]}]}
    found, _ = chat(HI, asked, {"role": "assistant", "content": [USE]}, result, system="Be brief.")

    assert [
        TextPart("text", "Hi"),
        PlacedPart("image_url", image_url="eA==", where="messages[1].content[0]"),
        TextPart("text", "What?"),
        PlacedPart(
            "image_url", image_url="https://example.com/a.png", where="messages[1].content[2]"
        ),
    ] == found.messages[1].content
    assert [
        TextPart("text", "one"),
        PlacedPart("image_url", image_url="eA==", where="messages[3].content[0].content[1]"),
    ] == found.messages[3].content
    with pytest.raises(HTTPError, match=r"'messages\[1\].content\[0\]'.*reads text only"):
        template_messages(found.messages, MediaInput(None, None))


@pytest.mark.parametrize("fields", [{}, {"system": "Be brief."}])
def test_turns_of_nothing_are_refused(fields: Any) -> None:
    for content in ([], [{"type": "redacted_thinking", "data": "x"}]):
        with pytest.raises(HTTPError, match="nothing that a model can read"):
            chat({"role": "user", "content": content}, **fields)


def test_calls_are_bounded() -> None:
    with pytest.raises(HTTPError, match="more than 512 calls together"):
        chat(HI, {"role": "assistant", "content": [USE] * (bounds.CALLS + 1)})
