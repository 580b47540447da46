"""Chat requests in the terms of other protocols, and their answers as a chat has them."""

from __future__ import annotations

import json
from typing import Any

from server_client import post
from servers import Served

REASONS = {"completed": "stop", "incomplete": "length"}
STOPS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
Parts = tuple[str, str, list[tuple[str, str]], str]
"""Reasoning, content, names and arguments of calls, and why the answer ended."""


def named_events(server: Served, path: str, body: dict[str, Any]) -> list[Any]:
    """Return the events of a stream whose events have names; each says its own."""
    text = post(server, path, {**body, "stream": True})
    assert text.endswith("\n\n")
    found = []
    for event in text[:-2].split("\n\n"):
        name, _, data = event.partition("\ndata: ")
        found.append(json.loads(data))
        assert f"event: {found[-1]['type']}" == name
    return found


def response_request(chat: dict[str, Any]) -> dict[str, Any]:
    """Return a chat request as one of OpenAI's Responses."""
    request = {**chat, "input": chat["messages"]}
    del request["messages"]
    if "max_tokens" in chat:
        request["max_output_tokens"] = request.pop("max_tokens")
    if "tools" in chat:
        request["tools"] = [{"type": "function", **tool["function"]} for tool in chat["tools"]]
    if isinstance(choice := chat.get("tool_choice"), dict):
        request["tool_choice"] = {"type": "function", **choice["function"]}
    return request


def message_request(chat: dict[str, Any]) -> dict[str, Any]:
    """Return a chat request as one of Anthropic's Messages."""
    request = {"max_tokens": 4000, **chat}
    if "tools" in chat:
        request["tools"] = [
            {
                "name": tool["function"]["name"],
                "description": tool["function"]["description"],
                "input_schema": tool["function"]["parameters"],
            }
            for tool in chat["tools"]
        ]
    choice: dict[str, Any] = {"type": "auto"}
    if isinstance(given := chat.get("tool_choice"), dict):
        choice = {"type": "tool", **given["function"]}
    elif given:
        choice = {"type": {"required": "any"}.get(given, given)}
    if (parallel := request.pop("parallel_tool_calls", None)) is not None:
        choice["disable_parallel_tool_use"] = not parallel
    request["tool_choice"] = choice
    if (budget := request.pop("thinking_budget_tokens", None)) is not None:
        request["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return request


def response_parts(response: Any) -> Parts:
    """Return the parts of a response."""
    reasoning, content, calls = "", "", []
    for item in response["output"]:
        if item["type"] == "reasoning":
            reasoning += "".join(part["text"] for part in item["content"])
        elif item["type"] == "message":
            content += "".join(part["text"] for part in item["content"])
        else:
            calls.append((item["name"], item["arguments"]))
    reason = REASONS[response["status"]]
    return reasoning, content, calls, "tool_calls" if calls and reason == "stop" else reason


def streamed_response(events: list[Any]) -> Any:
    """Return the response that a stream ends with, put together from its events as well.

    The events must come in the protocol's order.
    """
    assert [*range(len(events))] == [event["sequence_number"] for event in events]
    assert ["response.created", "response.in_progress"] == [event["type"] for event in events[:2]]
    last = events.pop()["response"]
    assert last["id"] == events[0]["response"]["id"] == events[1]["response"]["id"]
    items: list[Any] = []
    text = ""
    for event in events[2:]:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert all(item["status"] != "in_progress" for item in items)
            items.append(event["item"])
            text = ""
        assert len(items) - 1 == event["output_index"]
        assert event.get("item_id", items[-1]["id"]) == items[-1]["id"]
        if kind.endswith(".delta") and "summary" not in kind:
            text += event["delta"]
        elif kind in ("output_text.done", "reasoning_text.done"):
            assert text == event["text"]
        elif kind == "function_call_arguments.done":
            assert text == event["arguments"]
        elif kind == "content_part.done":
            assert text == event["part"]["text"]
        elif kind == "output_item.done":
            assert event["item"]["id"] == items[-1]["id"]
            items[-1] = event["item"]
    assert items == last["output"]
    return last


def message_parts(message: Any) -> Parts:
    """Return the parts of a message; the arguments of calls are JSON in a form of its own."""
    reasoning, content, calls = "", "", []
    for block in message["content"]:
        if block["type"] == "thinking":
            reasoning += block["thinking"]
        elif block["type"] == "text":
            content += block["text"]
        else:
            calls.append((block["name"], json.dumps(block["input"])))
    return reasoning, content, calls, STOPS[message["stop_reason"]]


def streamed_message(events: list[Any]) -> Any:
    """Return the message that a stream's events put together; they must come in order."""
    events = [event for event in events if event["type"] != "ping"]
    message = events[0]["message"]
    assert ["message_start", "message_delta", "message_stop"] == [
        events[place]["type"] for place in (0, -2, -1)
    ]
    assert [] == message["content"]
    text = ""
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert len(message["content"]) == event["index"]
            message["content"].append(event["content_block"])
            text = ""
            continue
        assert len(message["content"]) - 1 == event["index"]
        block = message["content"][-1]
        if event["type"] == "content_block_stop":
            if block["type"] == "tool_use":
                try:
                    block["input"] = json.loads(text or "{}")
                except ValueError:
                    block["input"] = {}
            continue
        delta = event["delta"]
        if delta["type"] == "input_json_delta":
            text += delta["partial_json"]
        else:
            key = delta["type"].removesuffix("_delta")
            block[key] += delta[key]
    usage = events[-2]["usage"]
    for key in ("input_tokens", "cache_read_input_tokens"):
        assert message["usage"][key] == usage[key]
    return {**message, **events[-2]["delta"], "usage": usage}
