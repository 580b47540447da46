"""What can be asked about the server and its model, beside answers."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime import __version__, thinking
from runtime.server import native, openai
from runtime.server.endpoint import Text
from runtime.server.messages import openai_tool
from runtime.server.parameters import shown
from runtime.server.problem import Problem
from runtime.server.service import Service

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


async def health(service: Service) -> native.Health:
    """Return whether the server can answer."""
    if service.stopping:
        raise Problem(503, "the server is stopping")
    return native.Health("ok")


async def props(service: Service) -> native.Props:
    """Return what a page needs to know."""
    model, options = service.model, service.options
    about = service.about
    return native.Props(
        default_generation_settings=native.GenerationDefaults(
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
        modelembed=native.Program(
            name=about.name,
            greeting=options.greeting,
            system=options.system,
            licence=about.licence,
            version=__version__,
            thinking=thinking.switchable(service.template_text),
            tools=service.form is not None,
            embeddings=service.embeds,
            fallback="",
        ),
    )


async def slots(service: Service) -> list[native.SlotState]:
    """Return what the sequences do."""
    return [
        native.SlotState(
            slot.number,
            service.engine.context_size,
            slot.busy,
            slot.held,
            native.NextToken(slot.busy, slot.stats.generated_tokens if slot.stats else 0),
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


async def tokenize(service: Service, request: native.TokenizeRequest) -> native.Tokens:
    """Cut a text into tokens."""

    def cut() -> native.Tokens:
        tokens = service.model.tokenize(
            request.content, beginning=request.add_special, special=request.parse_special
        )
        if not request.with_pieces:
            return native.Tokens([*tokens])
        return native.Tokens([native.TokenPiece(t, _piece(service, t)) for t in tokens])

    return await asyncio.to_thread(cut)


def _piece(service: Service, token: int) -> Any:
    data = service.model.piece(token, special=True)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


async def detokenize(service: Service, request: native.DetokenizeRequest) -> native.Content:
    """Join tokens."""
    tokens = service.prompts([*request.tokens], "tokens")[0] if request.tokens else []
    data = b"".join(service.model.piece(token, special=True) for token in tokens)
    return native.Content(data.decode("utf-8", "replace"))


async def apply_template(
    service: Service, request: native.TemplateRequest
) -> native.TemplateResponse:
    """Write a conversation as the model reads it."""
    tools = [openai_tool(tool) for tool in request.tools or ()]
    variables = request.chat_template_kwargs or {}
    return native.TemplateResponse(service.render(request.messages, tools, variables))
