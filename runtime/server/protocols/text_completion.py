"""Text completion, as OpenAI's and llama-server's endpoints share it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from runtime.errors import AppError
from runtime.options.registry import Options
from runtime.server.http.http_error import http_error_of
from runtime.server.protocols.llama_server_types import LlamaServerGeneration
from runtime.server.protocols.llamacpp.manner_fields import manner_of
from runtime.server.protocols.openai_types import CompletionRequest
from runtime.server.protocols.sampling_fields import Prompt, merged_options
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.gap_prompt import gap_prompt
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service

Asked = tuple[AnswerRequest, list[str], SchemaReport]
Prompts = Callable[[Options], tuple[list[list[int]], list[str]]]
"""Returns the tokens of each prompt and its text, by the options of their answers."""


async def text_request(
    service: Service,
    request: CompletionRequest | LlamaServerGeneration,
    prompt: Prompt,
    *,
    count: int = 1,
    alternatives: int | None = None,
    suffix: str | None = None,
) -> Asked:
    """Return the answer request, its prompts as text, and what answers are held to.

    With a `suffix`, answers are what is missing between each prompt and that. Raise HTTPError if
    anything is invalid.
    """
    service.require_few_answers(prompt, count)

    def prompts(options: Options) -> tuple[list[list[int]], list[str]]:
        if suffix is not None:
            given = _gaps(service, prompt)
            limit = options.n_predict
            found = [gap_prompt(service, one, suffix, limit=limit) for one in given]
            return found, [one if isinstance(one, str) else service.text(one) for one in given]
        found = service.tokens_of(prompt)
        return found, [prompt] if isinstance(prompt, str) else [service.text(one) for one in found]

    slow = suffix is not None or not isinstance(prompt, str)
    return await request_for(
        service, request, prompts, characters=len(prompt), slow=slow, count=count,
        alternatives=alternatives,
    )  # fmt: skip


async def request_for(
    service: Service,
    request: CompletionRequest | LlamaServerGeneration,
    prompts: Prompts,
    *,
    characters: int,
    slow: bool,
    count: int = 1,
    alternatives: int | None = None,
) -> Asked:
    """Return what `text_request` does, for prompts of any kind."""

    def make() -> Asked:
        options = merged_options(
            request, service.options, service.tokenize, request.max_tokens, request.n_predict
        )
        tokens, texts = prompts(options)
        asked = AnswerRequest(
            prompts=tokens,
            options=options,
            count=count,
            alternatives=alternatives,
            manner=manner_of(service, request),
        )
        try:
            report = SchemaReport.of(options.json_schema)
        except AppError as exc:
            raise http_error_of(exc, param="json_schema") from exc
        return asked, texts, report

    slow = slow or bool(
        request.grammar or request.json_schema or request.logit_bias or request.lora
    )
    return await service.prepare(make, characters=characters, slow=slow)


def _gaps(service: Service, prompt: Prompt) -> list[str | list[int]]:
    """Return what is before each gap."""
    if isinstance(prompt, str):
        return [prompt]
    found = service.tokens_of(prompt)
    texts = [one if isinstance(one, str) else None for one in prompt]
    return [text or tokens for text, tokens in zip_longest(texts[: len(found)], found)]
