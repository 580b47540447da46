"""Text completion, as OpenAI's and llama-server's endpoints share it."""

from __future__ import annotations

from runtime.errors import AppError
from runtime.server.http.http_error import http_error_of
from runtime.server.protocols.llama_server_types import LlamaServerCompletionRequest
from runtime.server.protocols.openai_types import CompletionRequest
from runtime.server.protocols.sampling_fields import merged_options
from runtime.server.service.answer_request import AnswerRequest
from runtime.server.service.schema_report import SchemaReport
from runtime.server.service.service import Service


async def text_request(
    service: Service,
    request: CompletionRequest | LlamaServerCompletionRequest,
    *,
    count: int = 1,
    alternatives: int | None = None,
) -> tuple[AnswerRequest, list[str], SchemaReport]:
    """Return the answer request, its prompts as text, and what answers are held to.

    Raise HTTPError if it is invalid.
    """
    prompt = request.prompt
    service.require_few_answers(prompt, count)

    def make() -> tuple[AnswerRequest, list[str], SchemaReport]:
        options = merged_options(
            request, service.options, service.tokenize, request.max_tokens, request.n_predict
        )
        prompts = service.tokens_of(prompt)
        texts = [prompt] if isinstance(prompt, str) else [service.text(one) for one in prompts]
        asked = AnswerRequest(
            prompts=prompts, options=options, count=count, alternatives=alternatives
        )
        try:
            report = SchemaReport.of(options.json_schema)
        except AppError as exc:
            raise http_error_of(exc, param="json_schema") from exc
        return asked, texts, report

    slow = bool(
        request.grammar or request.json_schema or request.logit_bias or not isinstance(prompt, str)
    )
    return await service.prepare(make, characters=len(prompt), slow=slow)
