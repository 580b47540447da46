"""Hostile requests to OpenAI's Responses and Anthropic's Messages."""

from __future__ import annotations

from typing import Any

from hostile_case import ANSWERED, EITHER, REFUSED, Case, posts

RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
HI = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
USE = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
DEEP = "[" * 50_000 + "]" * 50_000
DEEPER: Any = {"type": "text", "text": "Hi"}
for _ in range(300):
    DEEPER = {"type": "search_result", "source": "s", "title": "t", "content": [DEEPER]}
SPACE: Any = {"type": "function", "name": "f"}
for _ in range(300):
    SPACE = {"type": "namespace", "name": "n", "tools": [SPACE]}

NO_INPUT: dict[str, Any] = {
    "nothing": None, "a number": 5, "no items": [], "texts": ["Hi"], "lists": [[HI]],
    "an item of nothing": [{}], "no such role": [{**HI, "role": "root"}],
    "a type that is a list": [{"type": ["message"]}], "no content": [{"role": "user"}],
    "a picture": [{**HI, "content": [{"type": "input_image", "image_url": "http://127.0.0.1/"}]}],
    "a file": [{**HI, "content": [{"type": "input_file", "file_data": "x"}]}],
    "a part without text": [{**HI, "content": [{"type": "input_text"}]}],
    "a call without a name": [{**CALL, "name": None}],
    "an output of nothing": [{"type": "function_call_output", "call_id": "1"}],
    "an output without a call": [{"type": "function_call_output", "output": "x"}],
    "a reference to nothing": [{"type": "item_reference", "id": "x"}],
    "a reference without an identity": [{"type": "item_reference"}],
    "many calls": [CALL] * 1000, "too long": "word " * 20_000,
    "what is only left out": [{"type": "web_search_call", "id": "x"}] * 3,
}  # fmt: skip
ODD_INPUT: dict[str, Any] = {
    "an empty text": "", "NULs": "\0\0", "an unknown item": [HI, {"type": "x" * 900, "id": "x"}],
    "a type that steers terminals": [HI, {"type": "\x1b[2J\r\nX-Other: 1"}],
    "a call of nothing known": [HI, CALL, {**CALL, "type": "custom_tool_call", "input": "x"}],
    "an output of no call": [{"type": "function_call_output", "call_id": "x", "output": ""}, HI],
    "reasoning alone": [{"type": "reasoning", "summary": []}, HI],
    "reasoning that is no base64": [
        {"type": "reasoning", "summary": [], "encrypted_content": "modelembed-reasoning:!"}, HI],
    "arguments that are no JSON": [HI, {**CALL, "arguments": "{"}, HI],
    "deep arguments": [HI, {**CALL, "arguments": DEEP}, HI],
    "a tool in an item": [HI, {"type": "additional_tools", "role": "developer", "tools": [SPACE]}],
}  # fmt: skip
NO_RESPONSE: dict[str, Any] = {
    "a response that is not there": {"previous_response_id": "resp_x"},
    "a response of other type": {"previous_response_id": 5},
    "a choice of no tool": {"tool_choice": "required"},
    "a choice of an unknown tool": {"tool_choice": {"type": "function", "name": "g"}},
    "a tool without a name": {"tools": [{"type": "function"}]},
    "a tool without a type": {"tools": [{"name": "f"}]},
    "a tool of a strange name": {"tools": [{"type": "function", "name": "a b"}]},
    "two answers": {"background": True}, "a format of nothing": {"text": {"format": {}}},
    "a schema of nothing": {"text": {"format": {"type": "json_schema", "name": "x"}}},
    "a schema that is none": {"text": {"format": {"type": "json_schema", "name": "x",
                                                  "schema": {"type": 5}}}},
    "no such effort": {"reasoning": {"effort": "huge"}}, "no number": {"max_output_tokens": "x"},
    "metadata that is a list": {"metadata": ["x"]},
}  # fmt: skip
ODD_RESPONSE: dict[str, Any] = {
    "tools in tools": {"tools": [SPACE]}, "many tools": {"tools": [
        {"type": f"kind{number}"} for number in range(500)]},
    "a tool that steers terminals": {"tools": [{"type": "\x1b[2J\r\nX-Other: 1"}]},
    "odd things to include": {"include": ["x", "message.output_text.logprobs"]},
    "much metadata": {"metadata": {f"k{number}": "x" for number in range(1000)}},
}  # fmt: skip
NO_MESSAGES: dict[str, Any] = {
    "nothing": None, "a text": "Hi", "none": [], "texts": ["Hi"], "no role": [{"content": "Hi"}],
    "a tool's role": [{"role": "tool", "content": "x"}], "no content": [{"role": "user"}],
    "a number": [{"role": "user", "content": 5}],
    "blocks of texts": [{"role": "user", "content": ["Hi"]}],
    "a block without a type": [{"role": "user", "content": [{"text": "Hi"}]}],
    "a picture": [{"role": "user", "content": [{"type": "image", "source": {
        "type": "url", "url": "http://127.0.0.1/"}}]}],
    "a document elsewhere": [{"role": "user", "content": [{"type": "document", "source": {
        "type": "url", "url": "http://127.0.0.1/"}}]}],
    "a result of nothing": [{"role": "user", "content": [{"type": "tool_result"}]}],
    "a picture from a tool": [{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image"}]}]}],
    "many calls": [HI, {"role": "assistant", "content": [USE] * 1000}],
    "a call of nothing": [HI, {"role": "assistant", "content": [{"type": "tool_use", "id": "1"}]}],
    "too long": [{"role": "user", "content": "word " * 20_000}],
    "what is only left out": [{"role": "user", "content": [{"type": "redacted_thinking"}]}],
    "searches in searches": [{"role": "user", "content": [DEEPER]}],
}  # fmt: skip
ODD_MESSAGES: dict[str, Any] = {
    "an empty text": [{"role": "user", "content": ""}],
    "no blocks": [{"role": "user", "content": []}, HI],
    "an answer of no blocks": [HI, {"role": "assistant", "content": []}, HI],
    "an unknown block": [HI, {"role": "assistant", "content": [{"type": "\x1b[2J\r\n"}]}, HI],
    "an answer first": [{"role": "assistant", "content": "Hi"}, HI],
    "a result of no call": [{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "x"}]}],
    "a system's turn": [HI, {"role": "system", "content": "Be brief."}, HI],
    "thoughts that are no base64": [HI, {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "", "signature": "modelembed-reasoning:!"}]}, HI],
}  # fmt: skip
NO_MESSAGE: dict[str, Any] = {
    "a system prompt of numbers": {"system": [1]}, "a budget of text": {"thinking": {
        "type": "enabled", "budget_tokens": "x"}},
    "no such thinking": {"thinking": {"type": "hard"}},
    "a choice of no tool": {"tool_choice": {"type": "any"}},
    "a choice of an unknown tool": {"tool_choice": {"type": "tool", "name": "g"}},
    "a tool without a name": {"tools": [{"input_schema": {}}]},
    "a schema that is none": {"tools": [{"name": "f", "input_schema": {"type": 5}}]},
    "a format that is none": {"output_config": {"format": {"type": "json_schema"}}},
    "stops that are numbers": {"stop_sequences": [1]},
}  # fmt: skip
BILLS: dict[str, Any] = {
    "a long bill": {"system": "x-anthropic-billing-header:" + " a=b;" * 500},
    "a bill without an end": {"system": "x-anthropic-billing-header: a=" + "b" * 3000},
    "a bill of spaces": {"system": "x-anthropic-billing-header:" + " " * 3000},
    "a bill alone": {"system": "x-anthropic-billing-header: cch=00000;"},
}  # fmt: skip


def cases() -> list[Case]:
    """Return all of these requests."""
    asked, turns = {"input": "Hi", "max_output_tokens": 2}, {"messages": [HI], "max_tokens": 2}

    def inputs(given: dict[str, Any]) -> dict[str, Any]:
        return {name: {**asked, "input": one} for name, one in given.items()}

    def messages(given: dict[str, Any]) -> dict[str, Any]:
        return {name: {**turns, "messages": one} for name, one in given.items()}

    def more(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        return {name: {**fields, **one} for name, one in given.items()}

    counted = "/v1/messages/count_tokens"
    return [
        *posts("responses' input", REFUSED, inputs(NO_INPUT), path=RESPONSES),
        *posts("responses' odd input", EITHER, inputs(ODD_INPUT), path=RESPONSES),
        *posts("responses", REFUSED, more(asked, NO_RESPONSE), path=RESPONSES),
        *posts("odd responses", ANSWERED, more(asked, ODD_RESPONSE), path=RESPONSES),
        *posts("counted input", REFUSED, inputs(NO_INPUT), path=f"{RESPONSES}/input_tokens"),
        *posts("turns", REFUSED, messages(NO_MESSAGES), path=MESSAGES),
        *posts("odd turns", EITHER, messages(ODD_MESSAGES), path=MESSAGES),
        *posts("counted turns", REFUSED, messages(NO_MESSAGES), path=counted),
        *posts("Messages", REFUSED, more(turns, NO_MESSAGE), path=MESSAGES),
        *posts("bills", EITHER, more(turns, BILLS), path=MESSAGES),
    ]  # fmt: skip
