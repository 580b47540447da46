"""What an answer was not held to of its JSON schemas, and whether it follows them all the same."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET, Struct, UnsetType

from runtime.chat_format import tool_parameters
from runtime.chat_format.chat_template import TemplateInputs
from runtime.json_schema import schemas
from runtime.json_schema.schemas import Schema

HEADER = "X-Modelembed-Schema"
HEADER_MAX = 1000


class RelaxedKeyword(Struct):
    """A keyword of a JSON schema that the grammar of an answer leaves out."""

    keyword: str
    at: str
    """The pointer of the schema that has it."""


class SchemaCheck(Struct):
    """What an answer was not held to of its JSON schema, and whether it follows it."""

    relaxed: list[RelaxedKeyword]
    held: bool | None
    """None if that cannot be said: the schema refers to another, or a pattern takes too long."""


Checked = SchemaCheck | UnsetType


@dataclass(frozen=True)
class SchemaReport:
    """The schemas of a request."""

    answer: Schema | None = None
    tools: Mapping[str, Schema] = field(default_factory=dict)
    """By the names of the tools."""

    @classmethod
    def of(cls, schema: str, inputs: TemplateInputs | None = None) -> SchemaReport:
        """Return the report for a schema as JSON, empty for none, and the tools in `inputs`."""
        answer = schemas.prepared(schema) if schema else None
        if inputs is None or inputs.tool_choice == "none":
            return cls(answer)
        tools = {tool["function"]["name"]: tool_parameters.schema_of(tool) for tool in inputs.tools}
        return cls(answer, tools)

    @property
    def relaxed(self) -> list[RelaxedKeyword]:
        """What the grammar does not hold answers to; a tool's name stands before its places."""
        schemas = [("", self.answer), *self.tools.items()]
        return [
            RelaxedKeyword(one.keyword, name + one.at)
            for name, schema in schemas
            if schema
            for one in schema.relaxed
        ]

    def headers(self) -> dict[str, str]:
        """Return the header that names what was relaxed; none if nothing was."""
        found = [f"{one.keyword} at {one.at}" for one in self.relaxed]
        if not found:
            return {}
        shown, size = 0, 0
        while shown < len(found) and size + len(found[shown]) < HEADER_MAX:
            size += len(found[shown]) + 2
            shown += 1
        more = [f"{len(found) - shown} more"] if shown < len(found) else []
        text = "relaxed " + "; ".join([*found[:shown], *more])
        return {HEADER: urllib.parse.quote(text, safe=" /#;:,$!()*+-._~'=@&?[]")[: 3 * HEADER_MAX]}

    def check(self, content: str, calls: Sequence[tuple[str, str]] = ()) -> Checked:
        """Return what was relaxed, and whether an answer follows its schemas.

        UNSET if nothing was: then the answer follows them if it is complete. `calls` are names of
        tools and their arguments.
        """
        relaxed = self.relaxed
        if not relaxed:
            return UNSET
        found = []
        if self.answer and self.answer.relaxed and not (calls and not content.strip()):
            found.append(self.answer.held(content))
        for name, arguments in calls:
            schema = self.tools.get(name)
            if schema and schema.relaxed:
                found.append(schema.held(arguments or "{}"))
        return SchemaCheck(relaxed, False if False in found else None if None in found else True)


def together(checks: Sequence[Checked]) -> Checked:
    """Return the check of all answers to a request."""
    known = [check for check in checks if check is not UNSET]
    if not known:
        return UNSET
    held = [check.held for check in known if isinstance(check, SchemaCheck)]
    first = known[0]
    assert isinstance(first, SchemaCheck)
    return SchemaCheck(first.relaxed, False if False in held else None if None in held else True)
