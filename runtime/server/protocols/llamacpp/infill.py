"""llama-server's filling in of what is missing in a file, with others beside."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from runtime import bounds
from runtime.chat_format.fill_in import OtherFile
from runtime.errors import ModelError
from runtime.options.registry import Options
from runtime.server.http.endpoint import WithHeaders
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.llama_server import answered
from runtime.server.protocols.llama_server_types import LlamaServerGeneration
from runtime.server.protocols.sampling_fields import Name
from runtime.server.protocols.text_completion import request_for
from runtime.server.service.gap_prompt import gap_prompt
from runtime.server.service.service import Service


class ExtraFile(Struct):
    """A file that the model may look at, or a part of one."""

    text: str
    filename: Name = "tmp"


class InfillRequest(LlamaServerGeneration, kw_only=True):
    """A request to write what is between two texts."""

    input_prefix: str
    input_suffix: str
    input_extra: Annotated[list[ExtraFile], Meta(max_length=bounds.PARTS)] | None = None
    prompt: str | None = None
    """What is written of it already."""


async def infill(service: Service, request: InfillRequest) -> WithHeaders:
    """Fill in a text, at once or streamed; raise HTTPError if the model was not made for that."""
    try:
        service.fill_in.require()
    except ModelError as exc:
        raise HTTPError(501, exc.problem) from exc
    others = [OtherFile(one.filename, one.text) for one in request.input_extra or ()]

    def prompts(options: Options) -> tuple[list[list[int]], list[str]]:
        tokens = gap_prompt(
            service,
            request.input_prefix,
            request.input_suffix,
            begun=request.prompt or "",
            others=others,
            limit=options.n_predict,
        )
        return [tokens], [service.text(tokens, special=True)]

    asked = await request_for(
        service, request, prompts, characters=0, slow=True, alternatives=request.n_probs or None
    )
    return await answered(service, request, *asked)
