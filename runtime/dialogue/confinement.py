"""Confinement: the sandbox that fits what answers, entered once it is loaded."""

from __future__ import annotations

from collections.abc import Callable

from runtime.devices import presence
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.loaded_model import LoadedModel
from runtime.options.registry import Options
from runtime.sandbox import restriction
from runtime.sandbox.restriction import Policy

PORTS = {"http": 80, "https": 443}


def confine(
    backend: LoadedModel | RemoteModel,
    options: Options,
    notify: Callable[[str], None],
    *,
    accepts: bool = False,
) -> None:
    """Enter the sandbox, unless the user wants none; tell what holds with -v, or if nothing does.

    With `accepts`, connections to the listening socket are answered.
    """
    if not options.sandbox:
        if options.verbose:
            notify("sandbox: none (--no-sandbox)")
        return
    held = restriction.enter(_policy(backend, accepts))
    if options.verbose or not (held.files or held.calls):
        notify(f"sandbox: {held.line()}")


def _policy(backend: LoadedModel | RemoteModel, accepts: bool) -> Policy:
    """Return what must stay possible."""
    if isinstance(backend, RemoteModel):
        return Policy(accepts, _ports(backend.server.base_url))
    if backend.devices:  # their drivers go on loading what they have compiled
        nodes = tuple(presence.nodes())
        return Policy(accepts, devices=nodes, readable=tuple(presence.shader_caches()))
    return Policy(accepts)


def _ports(address: str) -> tuple[int, ...]:
    """Return the ports by which a server is reached, also those of proxies before it."""
    import urllib.request
    from urllib.parse import urlsplit

    found = [urlsplit(url) for url in (address, *urllib.request.getproxies().values())]
    return tuple({url.port or PORTS.get(url.scheme, PORTS["https"]) for url in found})
