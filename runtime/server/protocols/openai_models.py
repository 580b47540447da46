"""The list of models as OpenAI, Anthropic and llama-server have it; it holds one."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from runtime.server.http.endpoint import PathName
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.ollama.models import OllamaModel, entry
from runtime.server.protocols.ollama.types import timestamp
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
    type: str = "model"
    display_name: str | UnsetType = UNSET
    created_at: str | UnsetType = UNSET


class ModelList(Struct, kw_only=True):
    """The list of models."""

    models: list[OllamaModel] | UnsetType = UNSET
    object: str = "list"
    data: list[ModelCard]
    first_id: str | UnsetType = UNSET
    last_id: str | UnsetType = UNSET
    has_more: bool = False


async def models(service: Service) -> ModelList:
    """Return the list of models."""
    card = _card(service)
    listed = entry(service, card.id)
    if service.model.projector:
        listed.capabilities.append("multimodal")  # as llama-server has it
    return ModelList(models=[listed], data=[card], first_id=card.id, last_id=card.id)


async def model(service: Service, path: PathName) -> ModelCard:
    """Return the model of that name; raise HTTPError if there is none."""
    card = _card(service)
    if path.name != card.id:
        raise HTTPError(
            404,
            f"there is no model '{path.name}', only '{card.id}'",
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
    return ModelCard(
        id=service.identity.alias,
        created=service.started,
        meta=meta,
        display_name=service.identity.alias,
        created_at=timestamp(service.started),
    )
