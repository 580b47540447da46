"""OpenAI's list of models; it holds one."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from runtime.server.http.http_error import HTTPError
from runtime.server.service.service import Service


class ModelMeta(Struct, kw_only=True):
    """Model metadata that llama-server adds."""

    n_vocab: int
    n_ctx: int
    n_ctx_train: int
    n_params: int
    size: int


class ModelCard(Struct, kw_only=True):
    """A model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "modelembed"
    meta: ModelMeta | UnsetType = UNSET


class ModelList(Struct, kw_only=True):
    """The list of models."""

    object: str = "list"
    data: list[ModelCard]


async def models(service: Service) -> ModelList:
    """Return the list of models."""
    return ModelList(data=[_card(service)])


async def model(service: Service, name: str) -> ModelCard:
    """Return the model called `name`; raise HTTPError if there is none."""
    card = _card(service)
    if name != card.id:
        raise HTTPError(
            404,
            f"there is no model '{name}', only '{card.id}'",
            param="model",
            code="model_not_found",
        )
    return card


def _card(service: Service) -> ModelCard:
    meta = ModelMeta(
        n_vocab=service.model.vocab_size,
        n_ctx=service.scheduler.context_size,
        n_ctx_train=service.model.trained_context,
        n_params=service.model.parameters,
        size=service.source.size,
    )
    return ModelCard(id=service.identity.alias, created=service.started, meta=meta)
