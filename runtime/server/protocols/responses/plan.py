"""Plan of a response: a request, translated into a chat's, and what all its events repeat."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from runtime.options.registry import Options
from runtime.server.http.http_error import HTTPError, naming
from runtime.server.protocols import openai_chat
from runtime.server.protocols.openai_chat import NewAnswer
from runtime.server.protocols.openai_types import ChatRequest, JsonSchema, ResponseFormat
from runtime.server.protocols.responses.conversation import Conversation, items_of
from runtime.server.protocols.responses.requests import (
    InputRequest,
    Item,
    ReasoningConfig,
    ResponsesRequest,
    TextConfig,
    TextFormat,
)
from runtime.server.protocols.responses.response import Response, new_id
from runtime.server.protocols.responses.store import Kept, ResponseStore
from runtime.server.protocols.responses.tools import ToolBox
from runtime.server.protocols.sampling_fields import Sampling
from runtime.server.service import skipped
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service

FIELDS = {"messages.*": "input", "response_format": "text.format", r"\.function\.": "."}
"""Fields of a response's request, by patterns of those of a chat's."""


@dataclass(frozen=True)
class Draft:
    """A request as a chat's."""

    chat: ChatRequest
    box: ToolBox
    skipped: Sequence[str]
    given: Sequence[Item]
    """The items that are new with this request."""
    before: Kept | None

    @classmethod
    def of(cls, request: InputRequest, store: ResponseStore | None) -> Draft:
        """Return the draft; raise HTTPError if the request is invalid."""
        _require_possible(request)
        before = None
        if request.previous_response_id:
            if store is None:
                raise HTTPError(
                    400,
                    "'previous_response_id' needs one process: those of --workers know nothing of "
                    "each other's responses; send the whole conversation as 'input'",
                    param="previous_response_id",
                )
            before = store.get(request.previous_response_id)
        if request.input is None and before is None:
            raise HTTPError(400, "'input' is missing", param="input")
        given = _found(items_of(request.input or []), store)
        conversation = Conversation(request.instructions)
        for item in before.items if before else ():
            conversation.add(item, "previous_response_id")
        for place, item in enumerate(given):
            conversation.add(item, f"input[{place}]")
        if not conversation.messages:
            raise HTTPError(400, "'input' is empty", param="input")
        box = ToolBox.of(request, conversation.tools)
        chat = _chat_request(request, conversation, box)
        return cls(chat, box, [*box.skipped, *conversation.skipped], given, before)


@dataclass(frozen=True)
class Plan:
    """What a response is made by."""

    draft: Draft
    asked: AnswerRequest
    new_answer: NewAnswer
    report: SchemaReport
    response: partial[Response]
    """Makes the response; what is missing is its status and what came of it."""

    @classmethod
    def of(cls, service: Service, request: ResponsesRequest, store: ResponseStore | None) -> Plan:
        """Return the plan; raise HTTPError if the request is invalid."""
        draft = Draft.of(request, store)
        with naming(FIELDS):
            asked, new_answer, report = openai_chat.asked_for(service, draft.chat)
        common = _common(service, request, asked.options, stored=store is not None)
        return cls(draft, asked, new_answer, report, partial(Response, **common))

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that say what is not as asked for."""
        return {**self.report.headers(), **skipped.headers(self.draft.skipped)}


def _require_possible(request: InputRequest) -> None:
    for field, instead in (
        ("conversation", "continue with 'previous_response_id', or send all of it as 'input'"),
        ("prompt", "send it as 'instructions' and 'input'"),
    ):
        if getattr(request, field) is not None:
            raise HTTPError(400, f"'{field}': there are none here; {instead}", param=field)
    if isinstance(request, ResponsesRequest) and request.background:
        raise HTTPError(
            400, "'background' is not possible here: wait for the answer", param="background"
        )


def _found(items: Sequence[Item], store: ResponseStore | None) -> list[Item]:
    """Return the items, with those that are referred to in place of the references."""
    found = []
    for place, item in enumerate(items):
        refers = item.type == "item_reference" or (
            item.type is None and item.role is None and item.id
        )
        if refers and store is None:
            raise HTTPError(
                400,
                f"'input[{place}]' refers to an item, which needs one process (--workers 1)",
                param=f"input[{place}]",
            )
        found.append(store.item(item.id or "", f"input[{place}]") if refers and store else item)
    return found


def _chat_request(request: InputRequest, conversation: Conversation, box: ToolBox) -> ChatRequest:
    limit = budget = top = None
    logprobs = False
    if isinstance(request, ResponsesRequest):
        limit, budget = request.max_output_tokens, request.thinking_budget_tokens
        logprobs = request.wants_logprobs
        top = request.top_logprobs if logprobs else None
    form = request.text.format if request.text else None
    return ChatRequest(
        messages=conversation.messages,
        tools=box.tools or None,
        tool_choice=box.choice,
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_response_format(form),
        reasoning_effort=request.reasoning.effort if request.reasoning else None,
        thinking_budget_tokens=budget,
        chat_template_kwargs=request.chat_template_kwargs,
        max_completion_tokens=limit,
        logprobs=logprobs or None,
        top_logprobs=top,
        **{name: getattr(request, name) for name in Sampling.__struct_fields__},
    )


def _response_format(given: TextFormat | None) -> ResponseFormat | None:
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return ResponseFormat("json_object")
    if given.schema is None:
        raise HTTPError(400, "'text.format.schema' is missing", param="text.format.schema")
    return ResponseFormat("json_schema", JsonSchema(given.schema))


def _common(
    service: Service, request: ResponsesRequest, options: Options, *, stored: bool
) -> dict[str, Any]:
    """Return the fields of the response that do not depend on the answer."""
    return {
        "id": new_id("resp"),
        "created_at": int(time.time()),
        "model": service.identity.alias,
        "previous_response_id": request.previous_response_id,
        "store": stored and request.store is not False,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "reasoning": request.reasoning or ReasoningConfig(),
        "temperature": options.temp,
        "text": request.text or TextConfig(format=TextFormat(type="text")),
        "tool_choice": request.tool_choice or "auto",
        "tools": request.tools or [],
        "top_p": options.top_p,
        "top_logprobs": request.top_logprobs or 0,
        "truncation": "disabled",
        "max_tool_calls": request.max_tool_calls,
        "prompt_cache_key": request.prompt_cache_key,
        "safety_identifier": request.safety_identifier,
        "user": request.user,
    }
