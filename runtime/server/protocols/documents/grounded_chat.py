"""What a chat request is answered from: passages of the documents, or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from runtime.chat_format.chat_template import TemplateInputs, text_of
from runtime.chat_format.media_parts import media_of
from runtime.chat_format.prompt import Prompt
from runtime.dialogue.conversation import reserve
from runtime.errors import AppError
from runtime.options.registry import Options
from runtime.server.http.http_error import HTTPError, http_error_of
from runtime.server.protocols.documents.document_types import CitedPassage
from runtime.server.service.service import Service

if TYPE_CHECKING:
    from runtime.retrieval.citations import Citations
    from runtime.retrieval.grounding import Grounding


def ground(
    service: Service, inputs: TemplateInputs, prompt: Prompt, options: Options, wanted: bool | None
) -> Grounding | None:
    """Return what to answer the last message from, None for the model's own knowledge.

    `prompt` is that of `inputs` alone. Documents are used for questions that get a text as their
    answer, unless the request does not want them. Raise HTTPError if it wants them where they
    cannot be used, or if a filter in the question is wrong.
    """
    if wanted is False:
        return None
    if obstacle := _obstacle(service, inputs):
        if wanted:
            raise HTTPError(400, f"'documents' cannot be used: {obstacle}", param="documents")
        return None
    assert service.grounder
    size = service.scheduler.context_size
    free = size - reserve(size, options.n_predict) - len(prompt.tokens)
    turns = [{**one, "content": text_of(one.get("content"))} for one in inputs.messages]
    try:
        return service.grounder.ground(turns, free)
    except AppError as exc:
        raise http_error_of(exc, param="messages") from exc


def _obstacle(service: Service, inputs: TemplateInputs) -> str:
    """Return why documents are not used for a request; empty if they are."""
    if service.grounder is None:
        return "this program has none"
    if not service.options.passages:
        return "it was started with --passages 0"
    if inputs.messages[-1]["role"] != "user" or inputs.continue_final_message:
        return "the last message is no question"
    instead = "ask /v1/search for passages, and give them in a message"
    if media_of(inputs.messages[-1]):
        return f"the question is about a picture or sound; {instead}"
    if inputs.tools and inputs.tool_choice != "none":
        return f"the answer may be the call of a tool; {instead}"
    if inputs.grammar or inputs.json_schema is not None:
        return f"the answer must have a form, which has no room for citations; {instead}"
    return ""


def grounded(inputs: TemplateInputs, grounding: Grounding) -> TemplateInputs:
    """Return what the template is applied to, with the passages before the question."""
    *before, last = inputs.messages
    return dataclasses.replace(inputs, messages=[*before, {**last, "content": grounding.text}])


def sources(
    grounding: Grounding | None, answers: Iterable[Citations | None]
) -> list[CitedPassage] | UnsetType:
    """Return what answers were made from, UNSET if not from documents."""
    if grounding is None:
        return UNSET
    cited = (number for one in answers if one for number in one.cited)
    return CitedPassage.all_of(grounding.sources, cited)


def removed(grounding: Grounding | None, answers: Iterable[Citations | None]) -> int | UnsetType:
    """Return how many citations pointed nowhere, UNSET if answers are not from documents."""
    return UNSET if grounding is None else sum(one.removed for one in answers if one)
