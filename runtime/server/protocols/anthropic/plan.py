"""Plan of a message: a request, translated into a chat's, and why its answer has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from runtime.inference.stats import Stats
from runtime.server.http.http_error import HTTPError, naming
from runtime.server.protocols import openai_chat
from runtime.server.protocols.answer_parts import AnswerParts
from runtime.server.protocols.anthropic.conversation import Conversation
from runtime.server.protocols.anthropic.message import End, StopReason, new_id
from runtime.server.protocols.anthropic.requests import CountRequest, MessagesRequest
from runtime.server.protocols.messages import Function, Tool
from runtime.server.protocols.openai_types import (
    ChatRequest,
    JsonSchema,
    Named,
    NamedTool,
    ResponseFormat,
)
from runtime.server.protocols.sampling_fields import Sampling
from runtime.server.service import skipped
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service

FIELDS = {
    "response_format": "output_config.format",
    r"\.function\.parameters": ".input_schema",
    r"\.function\.": ".",
}
"""Fields of a request here, by patterns of those of a chat's."""
Choice = Literal["none", "auto", "required"] | NamedTool


@dataclass(frozen=True)
class Plan:
    """What a message is made by."""

    asked: AnswerRequest
    new_answer: openai_chat.NewAnswer
    report: SchemaReport
    skipped: list[str]
    id: str
    model: str
    stops: tuple[str, ...]
    """Those that the client has asked for."""

    @classmethod
    def of(cls, service: Service, request: MessagesRequest) -> Plan:
        """Return the plan; raise HTTPError if the request is invalid."""
        chat, left_out = chat_request(request)
        with naming(FIELDS):
            asked, new_answer, report = openai_chat.asked_for(service, chat)
        stops = (*(request.stop_sequences or ()),)
        alias = service.identity.alias
        return cls(asked, new_answer, report, left_out, new_id(), alias, stops)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that say what is not as asked for."""
        return {**self.report.headers(), **skipped.headers(self.skipped)}

    def end(self, parts: AnswerParts, stats: Stats) -> End:
        """Return why an answer has ended."""
        reason: StopReason = "end_turn"
        if stats.reason == "context":
            reason = "model_context_window_exceeded"
        elif stats.reason == "length":
            reason = "max_tokens"
        elif parts.calls:
            reason = "tool_use"
        elif stats.stopped_by and stats.stopped_by in self.stops:
            return End("stop_sequence", stats.stopped_by)
        return End(reason, None)


def chat_request(request: CountRequest) -> tuple[ChatRequest, list[str]]:
    """Return a request as a chat's, and what is left out; raise HTTPError if it is invalid."""
    conversation = Conversation(request.system)
    for place, turn in enumerate(request.messages):
        conversation.add(turn, f"messages[{place}]")
    if all(message.role == "system" for message in conversation.messages):
        raise HTTPError(400, "'messages' has nothing that a model can read", param="messages")
    tools, left_out = _tools(request)
    given = request.tool_choice
    config, thinking = request.output_config, request.thinking
    wanted = (config.format if config else None) or request.output_format
    form = ResponseFormat("json_schema", JsonSchema(wanted.schema)) if wanted else None
    limits: dict[str, Any] = {}
    if isinstance(request, MessagesRequest):
        limits = {"max_completion_tokens": request.max_tokens}
    sampling = {name: getattr(request, name) for name in Sampling.__struct_fields__}
    if isinstance(request, MessagesRequest) and request.stop_sequences is not None:
        sampling["stop"] = request.stop_sequences
    variables = request.chat_template_kwargs
    if thinking and "enable_thinking" not in variables:
        variables = {**variables, "enable_thinking": thinking.type != "disabled"}
    chat = ChatRequest(
        messages=conversation.messages,
        tools=tools or None,
        tool_choice=_choice(request, tools),
        parallel_tool_calls=False if given and given.disable_parallel_tool_use else None,
        response_format=form,
        reasoning_effort=config.effort if config else None,
        thinking_budget_tokens=thinking.budget_tokens if thinking else None,
        chat_template_kwargs=variables,
        **limits,
        **sampling,
    )
    return chat, [*left_out, *conversation.skipped]


def _tools(request: CountRequest) -> tuple[list[Tool], list[str]]:
    """Return the tools that can be called, and the kinds of those that run elsewhere."""
    tools: list[Tool] = []
    left_out: list[str] = []
    for place, tool in enumerate(request.tools or ()):
        if tool.type not in (None, "custom"):
            if tool.type not in left_out:
                left_out.append(tool.type)
        elif not tool.name:
            field = f"tools[{place}].name"
            raise HTTPError(400, f"'{field}' is missing", param=field)
        else:
            tools.append(Tool(Function(tool.name, tool.description, tool.input_schema)))
    return tools, left_out


def _choice(request: CountRequest, tools: list[Tool]) -> Choice:
    given = request.tool_choice
    if given is None or given.type == "auto":
        return "auto"
    if given.type == "tool":
        return NamedTool(Named(given.name or ""))
    return "required" if given.type == "any" else "none"
