"""Conversations that chat templates are compared by, and the prompts that servers make of them."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bundler.engine import llama_source

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "a city"}},
            "required": ["city"],
        },
    },
}
HELLO = {"role": "user", "content": "Hello"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "call_1ab",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
        }
    ],
}
CONVERSATIONS: Mapping[str, dict[str, Any]] = {
    "user": {"messages": [HELLO]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, HELLO]},
    "turns": {
        "messages": [
            HELLO,
            {"role": "assistant", "content": "Hi!"},
            {"role": "user", "content": "Who are you?"},
        ]
    },
    "tools": {"messages": [HELLO], "tools": [WEATHER]},
    "result": {
        "messages": [
            HELLO,
            CALL,
            {"role": "tool", "tool_call_id": "call_1ab", "content": "sunny"},
        ],
        "tools": [WEATHER],
    },
    "no thinking": {"messages": [HELLO], "chat_template_kwargs": {"enable_thinking": False}},
}
REFUSED = "refused"


def templates() -> list[Path]:
    """Return the chat templates that llama.cpp is tested with."""
    return sorted((llama_source.source() / "models" / "templates").glob("*.jinja"))


def prompt(port: int, conversation: Mapping[str, Any]) -> str:
    """Return the prompt that the server at `port` makes, REFUSED if it makes none."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/apply-template",
        json.dumps(conversation).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return str(json.load(response)["prompt"])
    except urllib.error.HTTPError:
        return REFUSED


def digest(text: str) -> str:
    """Return a short hash of a prompt, the same on every day."""
    for form in ("%d %b %Y", "%b %d %Y", "%B %d, %Y", "%d %B %Y", "%Y-%m-%d", "%A, %B %d, %Y"):
        text = text.replace(datetime.now().strftime(form), "TODAY")
    text = re.sub(r"\d\d:\d\d:\d\d", "NOW", text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
