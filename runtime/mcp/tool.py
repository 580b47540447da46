"""Tool: what an agent can call, what it is told of it, and a call of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class ArgumentError(Exception):
    """An argument that a tool cannot be called with; the agent is told, and may call again."""


@dataclass(frozen=True)
class Answer:
    """What a tool gives."""

    texts: list[str]
    is_error: bool = False


@dataclass
class Call:
    """One call of a tool, as the tool sees it."""

    arguments: Mapping[str, Any]
    doing: str = ""
    """What it does now, in words; who waits for the answer is told from time to time."""
    cancelled: bool = False
    _actions: list[Callable[[], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def when_cancelled(self, action: Callable[[], None]) -> None:
        """Let `action` be called if the answer is not wanted any more; at once if it is not."""
        with self._lock:
            self._actions.append(action)
        if self.cancelled:
            action()

    def cancel(self) -> None:
        """Say that the answer is not wanted; safe from any thread."""
        self.cancelled = True
        with self._lock:
            actions = [*self._actions]
        for action in actions:
            action()

    def text(self, name: str, default: str | None = None) -> str:
        """Return an argument that is a text; raise ArgumentError if it is none."""
        value = self.arguments.get(name, default)
        if not isinstance(value, str):
            raise ArgumentError(f"'{name}' must be a text")
        return value.encode("utf-8", "replace").decode()  # halves of characters are in no model

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return an argument that is a number, None if there is none; raise ArgumentError."""
        value = self.arguments.get(name)
        if value is None:
            return None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ArgumentError(f"'{name}' must be a number from {low:,g} to {high:,g}")
        return float(value)

    def count(self, name: str, high: int) -> int | None:
        """Return an argument that is a whole number from 1 on, as `number` does."""
        value = self.number(name, 1, high)
        if value is not None and not value.is_integer():
            raise ArgumentError(f"'{name}' must be a whole number")
        return None if value is None else int(value)

    def require_no_others(self, known: Mapping[str, Any]) -> None:
        """Raise ArgumentError if there is an argument that is not one of the `known`."""
        for name in self.arguments:
            if name not in known:
                raise ArgumentError(f"there is no argument '{name}', only {', '.join(known)}")


@dataclass(frozen=True)
class Tool:
    """What an agent can call."""

    name: str
    title: str
    description: str
    """For the model of the agent, which decides by it."""
    properties: Mapping[str, Mapping[str, Any]]
    """JSON schemas of the arguments, by their names."""
    required: tuple[str, ...]
    run: Callable[[Call], Answer]
    """Called on a thread of its own; raises AppError or ArgumentError if there is no answer."""

    def described(self) -> dict[str, Any]:
        """Return what an agent is told."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": self.properties,
                "required": list(self.required),
                "additionalProperties": False,
            },
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }

    def call(self, call: Call) -> Answer:
        """Return what `run` does, after a look at the names of the arguments."""
        call.require_no_others(self.properties)
        return self.run(call)
