"""Ollama's lists of models, which hold one, and requests for others, which there are none of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from runtime.gguf.header import Header
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols.ollama.types import timestamp
from runtime.server.protocols.sampling_fields import Name, option_fields
from runtime.server.service.service import Service

VERSION = "0.12.6"
"""The version of Ollama whose API this is: programs ask for a lowest one."""
NEVER = "9999-12-31T23:59:59Z"
TAG = ":latest"
"""What a name without a tag stands for."""
PARAMETERS = (
    "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n", "seed", "stop",
)  # fmt: skip


class OllamaDetails(Struct, kw_only=True):
    """What kind of model it is."""

    parent_model: str = ""
    format: str = "gguf"
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(Struct, kw_only=True):
    """A model that there is."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: OllamaDetails
    capabilities: list[str]


class OllamaTags(Struct):
    """The models that there are."""

    models: list[OllamaModel]


class OllamaProcess(Struct, kw_only=True):
    """A model that is loaded."""

    name: str
    model: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: str = NEVER
    size_vram: int = 0
    context_length: int


class OllamaProcesses(Struct):
    """The models that are loaded."""

    models: list[OllamaProcess]


class OllamaVersion(Struct):
    """The version of the API."""

    version: str


class OllamaNamed(Struct, kw_only=True):
    """A request about a model; older clients call it `name`."""

    model: Name = ""
    name: Name = ""
    stream: bool | None = None

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model or self.name


class OllamaShown(Struct, kw_only=True):
    """What there is to know of the model."""

    modelfile: str
    parameters: str
    template: str
    system: str | UnsetType = UNSET
    license: str | UnsetType = UNSET
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class OllamaStatus(Struct):
    """How far a request about models is."""

    status: str


async def version(service: Service) -> OllamaVersion:
    """Return the version of the API."""
    return OllamaVersion(VERSION)


async def tags(service: Service) -> OllamaTags:
    """Return the list of models."""
    return OllamaTags([entry(service, name_of(service))])


async def running(service: Service) -> OllamaProcesses:
    """Return the list of models that are loaded."""
    if service.is_sleeping:
        return OllamaProcesses([])
    name = name_of(service)
    model = OllamaProcess(
        name=name,
        model=name,
        size=service.source.size,
        digest=service.digest,
        details=_details(service),
        context_length=service.scheduler.context_size,
    )
    return OllamaProcesses([model])


async def show(service: Service, request: OllamaNamed) -> OllamaShown:
    """Return what there is to know of the model; raise HTTPError if it has another name."""
    _require(service, request.called)
    options = service.options
    known = option_fields(options)
    lines = []
    for name in PARAMETERS:
        values = known[name] if isinstance(known[name], list) else [known[name]]
        lines += [f"{name:<30} {value}" for value in values]
    return OllamaShown(
        modelfile=f"# the one model of this program\nFROM {name_of(service)}\n",
        parameters="\n".join(lines),
        template=service.template_text,
        system=options.system or UNSET,
        license=service.identity.licence or UNSET,
        details=_details(service),
        model_info=_model_info(service.source.header, service.model.parameters),
        capabilities=capabilities(service),
        modified_at=timestamp(service.started),
    )


async def pull(
    service: Service, request: OllamaNamed
) -> OllamaStatus | AsyncIterator[list[OllamaStatus]]:
    """Say that the model is here; raise HTTPError if another one is asked for."""
    if not is_called(service, request.called):
        raise _refusal(service, "pulls no others")
    if request.stream is False:
        return OllamaStatus("success")

    async def lines() -> AsyncIterator[list[OllamaStatus]]:
        yield [OllamaStatus("success")]

    return lines()


async def refuse(service: Service, request: Any) -> OllamaStatus:
    """Refuse to make, change, send or delete models."""
    raise _refusal(service, "neither takes, makes, copies, sends nor deletes any")


async def refuse_blob(service: Service, parameters: Any) -> OllamaStatus:
    """Say that there is no such part of a model."""
    raise HTTPError(404, _refusal(service, "has no parts of others").message)


def entry(service: Service, name: str) -> OllamaModel:
    """Return the model as a list has it, by that name."""
    return OllamaModel(
        name=name,
        model=name,
        modified_at=timestamp(service.started),
        size=service.source.size,
        digest=service.digest,
        details=_details(service),
        capabilities=capabilities(service),
    )


def name_of(service: Service) -> str:
    """Return the model's name as Ollama writes it: with a tag."""
    alias = service.identity.alias
    return alias if ":" in alias else alias + TAG


def is_called(service: Service, name: str) -> bool:
    """Return whether that is the model's name."""
    return name in (service.identity.alias, name_of(service))


def capabilities(service: Service) -> list[str]:
    """Return what the model can do, in Ollama's words."""
    generates = service.scheduler.generates
    can = {
        "completion": generates,
        "tools": generates,  # described in the prompt where the model has no form for them
        "thinking": generates and service.template.thinks,
        "insert": generates and not service.fill_in.missing,
        "vision": bool(service.model.projector and service.model.projector.sees),
        "embedding": service.embedder.possible,
    }
    return [name for name, possible in can.items() if possible]


def _require(service: Service, name: str) -> None:
    if not is_called(service, name):
        raise HTTPError(404, f"model '{name}' not found: there is only '{name_of(service)}'")


def _refusal(service: Service, what: str) -> HTTPError:
    return HTTPError(
        501,
        f"this program carries its one model, '{name_of(service)}', and {what}; "
        "`modelembed bundle` makes a program of another",
    )


def _details(service: Service) -> OllamaDetails:
    family = service.source.header.architecture
    return OllamaDetails(
        family=family,
        families=[family],
        parameter_size=_human(service.model.parameters),
        quantization_level=service.source.quantization or "unknown",
    )


def _model_info(header: Header, parameters: int) -> dict[str, Any]:
    """Return what the model's file says of it, without lists and the vocabulary."""
    found = {
        key: value
        for key, value in header.metadata.items()
        if not isinstance(value, list) and not key.startswith("tokenizer.")
    }
    return {**found, "general.parameter_count": parameters}


def _human(count: int) -> str:
    """Return a number of parameters as Ollama writes it: 1.1B, 7M."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            number = f"{count / size:.1f}".removesuffix(".0")
            return f"{number}{letter}"
    return str(count)
