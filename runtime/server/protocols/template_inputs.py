"""What a chat request is for the chat template: messages, tools, and how the answer begins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from runtime import bounds
from runtime.chat_format import tool_parameters
from runtime.chat_format.chat_template import Continuation, TemplateInputs
from runtime.errors import AppError
from runtime.json_schema import schemas
from runtime.options.registry import Options
from runtime.server.http.http_error import HTTPError, encode, http_error_of
from runtime.server.protocols.messages import (
    require_shallow,
    template_messages,
    template_tools,
)
from runtime.server.protocols.openai_types import ChatRequest, NamedTool
from runtime.server.service.media_input import MediaInput
from runtime.units import counted


def with_format(request: ChatRequest, options: Options) -> tuple[str, str]:
    """Return grammar and JSON schema of the answer; raise HTTPError if both are asked for."""
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return options.grammar, options.json_schema
    schema = wanted.schema
    if wanted.type == "json_schema":
        if wanted.json_schema is None or wanted.json_schema.schema is None:
            raise HTTPError(
                400, "'response_format.json_schema.schema' is missing", param="response_format"
            )
        schema = wanted.json_schema.schema
    if options.grammar:
        raise HTTPError(
            400, "give a grammar or a response format, not both", param="response_format"
        )
    document = {} if isinstance(schema, bool) or schema is None else schema
    return "", encode(document or {"type": "object"}).decode()


def template_inputs(
    request: ChatRequest,
    options: Options,
    media: MediaInput,
    *,
    grammar: str = "",
    schema: str = "",
) -> TemplateInputs:
    """Return what the chat template is applied to; raise HTTPError if a field is invalid."""
    tools, choice, named = _tools(request)
    if grammar and tools and choice == "required":
        raise HTTPError(
            400, "a tool that must be used leaves no room for another form", param="tool_choice"
        )
    messages = template_messages(request.messages, media)
    continued = _continuation(request, messages)
    add = request.add_generation_prompt is not False and not continued
    thinks, variables = _variables(request, options)
    try:
        document = schemas.prepared(schema).written if schema else None
    except AppError as exc:
        raise http_error_of(exc, param=_schema_field(request)) from exc
    _require_schemas(tools)
    return TemplateInputs(
        messages=messages,
        tools=tools,
        tool_choice=choice,
        named_tool=named,
        parallel_tool_calls=request.parallel_tool_calls,
        json_schema=document,
        grammar=grammar,
        add_generation_prompt=add,
        continue_final_message=continued,
        reasoning_format=request.reasoning_format or "auto",
        enable_thinking=thinks,
        reasoning_budget=_budget(request, options),
        variables=variables,
    )


def _schema_field(request: ChatRequest) -> str:
    """Return the field that the answer's schema comes from."""
    wanted = request.response_format
    return "json_schema" if wanted is None or wanted.type == "text" else "response_format"


def _require_schemas(tools: Sequence[Mapping[str, Any]]) -> None:
    """Raise HTTPError if the parameters of a tool are described by what is no JSON schema."""
    begun = time.thread_time()
    for number, tool in enumerate(tools):
        try:
            tool_parameters.schema_of(tool)
        except AppError as exc:
            field = f"tools[{number}].function.parameters"
            raise http_error_of(exc, param=field) from exc
        if time.thread_time() - begun > bounds.TOOLS_SECONDS:
            raise HTTPError(
                400,
                f"the parameters of {counted(number + 1, 'tool')} took more than "
                f"{bounds.TOOLS_SECONDS:g} seconds to read; give fewer, or simpler ones",
                param="tools",
            )


def _tools(
    request: ChatRequest,
) -> tuple[list[dict[str, Any]], Literal["auto", "required", "none"], str]:
    """Return the tools, whether one must be called, and the name of the only one that may be."""
    tools, choice = template_tools(request.tools or ()), request.tool_choice or "auto"
    if isinstance(choice, NamedTool):
        name = choice.function.name
        if not any(tool["function"]["name"] == name for tool in tools):
            raise HTTPError(400, f"there is no tool '{name}'", param="tool_choice")
        return tools, "required", name
    if choice == "required" and not tools:
        raise HTTPError(400, "'tool_choice' asks for a tool, 'tools' has none", param="tools")
    return tools, choice, ""


def _continuation(request: ChatRequest, messages: Sequence[dict[str, Any]]) -> Continuation:
    """Return whether the last message is the start of the answer, as llama-server decides it."""
    continued, last = request.continue_final_message or False, messages[-1]
    if not continued and last["role"] == "assistant" and not last.get("tool_calls"):
        if len(messages) > 1 and messages[-2]["role"] == "assistant":
            raise HTTPError(400, "the last two messages are both the assistant's", param="messages")
        return True
    if not continued:
        return False
    if request.add_generation_prompt:
        raise HTTPError(
            400,
            "'continue_final_message' needs 'add_generation_prompt' to be false",
            param="continue_final_message",
        )
    if last.get("tool_calls"):
        raise HTTPError(
            400, "a message with tool calls cannot be continued", param="continue_final_message"
        )
    return continued


def _variables(request: ChatRequest, options: Options) -> tuple[bool, dict[str, Any]]:
    """Return whether the model may reason, and the variables for the template."""
    variables = dict(request.chat_template_kwargs)
    require_shallow(variables, "chat_template_kwargs")
    thinks = variables.get("enable_thinking", options.think)
    if not isinstance(thinks, bool):
        raise HTTPError(
            400,
            "'chat_template_kwargs.enable_thinking' must be true or false",
            param="chat_template_kwargs",
        )
    effort = request.reasoning_effort
    if effort == "none":
        variables.pop("reasoning_effort", None)
        return False, variables
    if effort is not None:
        variables["reasoning_effort"] = effort
    return thinks, variables


def _budget(request: ChatRequest, options: Options) -> int:
    """Return the most tokens of reasoning, -1 for no limit."""
    for given in (
        request.reasoning_budget_tokens,
        request.thinking_budget_tokens,
        request.reasoning_budget,
    ):
        if given is not None and given >= 0:
            return given
    return options.reasoning_budget
