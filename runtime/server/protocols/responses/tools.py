"""Tools of a request: functions, those in namespaces, and custom ones, which stand as functions.

Tools of other kinds run at OpenAI, not here. They are left out, and named in a header.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from runtime import bounds
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.messages import Function, Tool
from runtime.server.protocols.openai_types import Named, NamedTool
from runtime.server.protocols.responses.requests import (
    InputRequest,
    SingleTool,
    ToolChoice,
    ToolDefinition,
)

INPUT = "input"
"""The one parameter of a custom tool."""
Choice = Literal["none", "auto", "required"] | NamedTool


@dataclass
class ToolBox:
    """The tools of a request that can be called."""

    tools: list[Tool] = field(default_factory=list)
    choice: Choice = "auto"
    namespaces: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name and namespace, by what a tool of one is called here."""
    custom: set[str] = field(default_factory=set)
    """The names of those that take a text, not arguments."""
    skipped: list[str] = field(default_factory=list)
    """Kinds of tools that were left out."""

    @classmethod
    def of(cls, request: InputRequest, more: Iterable[ToolDefinition]) -> ToolBox:
        """Return the tools of a request, and `more`; raise HTTPError if one is wrong."""
        box = cls()
        for place, definition in enumerate(request.tools or ()):
            box._add(definition, f"tools[{place}]")
        for definition in more:
            box._add(definition, "input")
        box._choose(request.tool_choice)
        return box

    def _add(self, given: SingleTool, field: str, namespace: str = "") -> None:
        if isinstance(given, ToolDefinition) and given.type == "namespace":
            for place, one in enumerate(given.tools or ()):
                self._add(one, f"{field}.tools[{place}]", given.name or "")
            return
        if given.type not in ("function", "custom"):
            self._skip(given.type)
            return
        if not given.name:
            raise HTTPError(400, f"'{field}.name' is missing", param=f"{field}.name")
        if len(self.tools) == bounds.TOOLS:
            raise HTTPError(400, f"'tools': more than {bounds.TOOLS}", param="tools")
        name, known = given.name, {tool.function.name for tool in self.tools}
        if namespace:
            name = f"{namespace}__{name}" if name in known else name
            self.namespaces[name] = given.name, namespace
        elif name in known:  # an item of the input may bring one again
            self.tools = [tool for tool in self.tools if tool.function.name != name]
        if given.type == "custom":
            self.custom.add(name)
            function = _function_for(name, given)
        else:
            function = Function(name, given.description, given.parameters, given.strict)
        self.tools.append(Tool(function))

    def _choose(self, given: str | ToolChoice | None) -> None:
        if not isinstance(given, ToolChoice):
            chosen: Any = given or "auto"
            self.choice = chosen if self.tools or chosen == "required" else "auto"
        elif given.type == "allowed_tools":
            allowed = {one.name for one in given.tools or ()}
            self.tools = [tool for tool in self.tools if tool.function.name in allowed]
            self.choice = given.mode if self.tools else "auto"
        elif given.type in ("function", "custom"):
            self.choice = NamedTool(Named(given.name or ""))
        else:
            self._skip(given.type)

    def _skip(self, kind: str) -> None:
        if kind not in self.skipped:
            self.skipped.append(kind)

    def input_of(self, arguments: str) -> str:
        """Return what a custom tool is called with, of the arguments of its function."""
        try:
            found = json.loads(arguments)[INPUT]
        except (ValueError, KeyError, TypeError, RecursionError):
            return arguments
        return found if isinstance(found, str) else arguments


def arguments_for(text: str) -> str:
    """Return the arguments of the function that stands for a custom tool."""
    return msgspec.json.encode({INPUT: text}).decode()


def _function_for(name: str, tool: SingleTool) -> Function:
    """Return the function that stands for a custom tool."""
    properties = {INPUT: {"type": "string"}}
    parameters = {"type": "object", "properties": properties, "required": [INPUT]}
    return Function(name, "\n\n".join(_described(tool)) or None, parameters)


def _described(tool: SingleTool) -> Iterator[str]:
    if tool.description:
        yield tool.description
    definition = (tool.format or {}).get("definition")
    if isinstance(definition, str):
        yield f"The input has this form:\n{definition}"
