"""What can be asked about the server and its model, beside answers."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime import __version__
from runtime.dialogue import reasoning
from runtime.server.http.endpoint import Text
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols import llama_server_types as llama
from runtime.server.protocols import openai_types as openai
from runtime.server.protocols.messages import openai_tool
from runtime.server.protocols.sampling_fields import shown
from runtime.server.service.service import Service

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def card(service: Service) -> openai.ModelCard:
    """Return what there is to say about the model."""
    model = service.model
    meta = openai.ModelMeta(
        n_vocab=model.vocab_size,
        n_ctx=service.engine.context_size,
        n_ctx_train=model.trained_context,
        n_params=model.parameters,
        size=service.session.source.size,
    )
    return openai.ModelCard(id=service.name, created=service.created, meta=meta)


async def models(service: Service) -> openai.ModelList:
    """Return the models that there are."""
    return openai.ModelList(data=[card(service)])


async def health(service: Service) -> llama.Health:
    """Return whether the server can answer."""
    if service.stopping:
        raise HTTPError(503, "the server is stopping")
    return llama.Health("ok")


async def props(service: Service) -> llama.Props:
    """Return what a page needs to know."""
    model, options = service.model, service.options
    about = service.about
    return llama.Props(
        default_generation_settings=llama.GenerationDefaults(
            service.engine.context_size, shown(options)
        ),
        total_slots=options.parallel,
        model_alias=service.name,
        model_path=service.session.source.label,
        modalities={"vision": False, "audio": False},
        chat_template=service.template_text,
        bos_token=model.bos,
        eos_token=model.eos,
        build_info=f"modelembed {__version__}",
        modelembed=llama.Program(
            name=about.name,
            greeting=options.greeting,
            system=options.system,
            licence=about.licence,
            version=__version__,
            thinking=reasoning.switchable(service.template_text),
            tools=service.form is not None,
            embeddings=service.embeds,
            fallback="",
        ),
    )


async def slots(service: Service) -> list[llama.SlotState]:
    """Return what the sequences do."""
    return [
        llama.SlotState(
            slot.number,
            service.engine.context_size,
            slot.busy,
            slot.held,
            llama.NextToken(slot.busy, slot.stats.generated_tokens if slot.stats else 0),
        )
        for slot in service.engine.status().slots
    ]


async def metrics(service: Service) -> Text:
    """Return what was done, as Prometheus reads it."""
    status = service.engine.status()
    service.metrics.set("decoded", status.steps)
    service.metrics.set("busy", status.busy_steps)
    service.metrics.set("deferred", status.waiting)
    return Text(service.metrics.text(), PROMETHEUS)


async def tokenize(service: Service, request: llama.TokenizeRequest) -> llama.Tokens:
    """Cut a text into tokens."""

    def cut() -> llama.Tokens:
        tokens = service.model.tokenize(
            request.content, beginning=request.add_special, special=request.parse_special
        )
        if not request.with_pieces:
            return llama.Tokens([*tokens])
        return llama.Tokens([llama.TokenPiece(t, _piece(service, t)) for t in tokens])

    return await asyncio.to_thread(cut)


def _piece(service: Service, token: int) -> Any:
    data = service.model.piece(token, special=True)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


async def detokenize(service: Service, request: llama.DetokenizeRequest) -> llama.Content:
    """Join tokens."""
    tokens = service.prompts([*request.tokens], "tokens")[0] if request.tokens else []
    data = b"".join(service.model.piece(token, special=True) for token in tokens)
    return llama.Content(data.decode("utf-8", "replace"))


async def apply_template(
    service: Service, request: llama.TemplateRequest
) -> llama.TemplateResponse:
    """Write a conversation as the model reads it."""
    tools = [openai_tool(tool) for tool in request.tools or ()]
    variables = request.chat_template_kwargs or {}
    return llama.TemplateResponse(service.render(request.messages, tools, variables))
