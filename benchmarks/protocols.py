"""The protocols that a server speaks, as a client asks one question by each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Protocol:
    """How a question is asked, and where the answer is."""

    path: str
    body: Callable[[str, int], dict[str, Any]]
    """Returns the request for a question and so many tokens at most; `stream` is added to it."""
    text: Callable[[Any], str]
    """Returns the text of a whole answer."""
    piece: Callable[[Any], str]
    """Returns what is new in an event of a stream."""
    is_last: Callable[[Any], bool]
    """Returns whether an event ends the stream."""
    events: bool = True
    """Whether a stream consists of server-sent events, and not of lines of JSON."""

    def event(self, line: bytes) -> Any:
        """Return the event in a line of a stream, None if there is none."""
        text = line.decode().strip()
        if self.events:
            name, _, text = text.partition(": ")
            text = text if name == "data" else ""
        return json.loads(text) if text else None


def _asked(question: str, limit: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"messages": messages, "temperature": 0, "max_tokens": limit}


def _chunk(event: Any) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))


def _is(kind: str) -> Callable[[Any], bool]:
    return lambda event: bool(event["type"] == kind)


CHAT = Protocol(
    "/v1/chat/completions",
    _asked,
    lambda answer: str(answer["choices"][0]["message"]["content"]),
    _chunk,
    lambda event: any(choice["finish_reason"] for choice in event["choices"]),
)
RESPONSES = Protocol(
    "/v1/responses",
    lambda question, limit: {"input": question, "temperature": 0, "max_output_tokens": limit},
    lambda answer: "".join(
        part["text"] for item in answer["output"] for part in item.get("content", ())
    ),
    lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
    _is("response.completed"),
)
MESSAGES = Protocol(
    "/v1/messages",
    _asked,
    lambda answer: "".join(block["text"] for block in answer["content"]),
    lambda event: event["delta"]["text"] if event["type"] == "content_block_delta" else "",
    _is("message_stop"),
)
OLLAMA = Protocol(
    "/api/chat",
    lambda question, limit: {
        **_asked(question, limit),
        "options": {"temperature": 0, "num_predict": limit},
    },
    lambda answer: str(answer["message"]["content"]),
    lambda event: event["message"]["content"],
    lambda event: bool(event["done"]),
    events=False,
)
PROTOCOLS: Mapping[str, Protocol] = {
    "chat completions": CHAT,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "Ollama's chat": OLLAMA,
}
