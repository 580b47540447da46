"""llama-server's LoRA adapters: a list, how strongly they are applied, and by whom."""

from __future__ import annotations

from msgspec import Struct

from runtime.errors import AppError
from runtime.inference.manner import Adapters
from runtime.server.http.http_error import HTTPError, http_error_of
from runtime.server.protocols.sampling_fields import LoraScale, Scales
from runtime.server.service.service import Service


class LoraAdapter(Struct, kw_only=True):
    """An adapter; requests name it by its number."""

    id: int
    path: str
    scale: float
    task_name: str = ""
    prompt_prefix: str = ""


class Success(Struct):
    """Whether it was done."""

    success: bool


async def adapters(service: Service) -> list[LoraAdapter]:
    """Return the adapters, and how strongly they are applied to answers that say nothing else."""
    used = service.lora.strengths
    return [
        LoraAdapter(id=number, path=name, scale=used.get(name, 0.0))
        for number, name in enumerate(service.lora.names)
    ]


async def use(service: Service, request: Scales) -> Success:
    """Apply these adapters from now on, and no others; raise HTTPError if there is no such one."""
    if service.options.workers > 1:
        raise HTTPError(
            501,
            "with several --workers each has its own adapters: name them in each request ('lora')",
        )
    wanted = _named(service, request)
    try:
        await service.prepare(lambda: service.lora.use_scales(wanted), characters=0, slow=True)
    except AppError as exc:
        raise http_error_of(exc) from exc
    return Success(True)


def adapters_for(service: Service, scales: list[LoraScale] | None) -> Adapters | None:
    """Return the adapters that a request names, None if it leaves that to the server.

    Raise HTTPError if there is no such one, or the engine cannot use it.
    """
    if scales is None:
        return None
    try:
        return service.lora.adapters(_named(service, scales))
    except AppError as exc:
        raise http_error_of(exc, param="lora") from exc


def _named(service: Service, scales: list[LoraScale]) -> dict[str, float]:
    names = service.lora.names
    for one in scales:
        if one.id >= len(names):
            known = ", ".join(f"{number} is '{name}'" for number, name in enumerate(names))
            raise HTTPError(
                400, f"there is no adapter {one.id}: {known or 'there is none'}", param="lora"
            )
    return {names[one.id]: one.scale for one in scales}
