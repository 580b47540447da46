"""Warm-up: have the drivers of GPUs compile what a model needs, before the sandbox is entered.

A driver compiles a program for each kind of product when it is first asked for it, and keeps it in
a cache of its own. In the sandbox it can read that, but not write: without this every start would
compile all of it again. It is done once for a model's shape, and remembered.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from runtime.devices import presence
from runtime.devices.engine import Engine
from runtime.gguf.header import Header
from runtime.inference.scheduler import Scheduler
from runtime.model import engine_build, probing

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 48, 100)
"""Tokens at a time that the engine has different kinds of products for, beside a whole batch."""

DONE = {"done": True}
SECONDS = 20
"""After which what is left is compiled when it is needed, and not kept: a driver that takes so long
would take minutes for the rest."""


def warm_up(
    scheduler: Scheduler, header: Header, engine: Engine, notify: Callable[[str], None]
) -> None:
    """Have the scheduler's model compute once what it may compute later; `notify` tells the user.

    Leaves nothing in the context that an answer would use.
    """
    if not engine.own_devices:
        return  # whoever lends a GPU sees to its driver
    cache = probing.VerdictCache("gpu-warm", _identity(scheduler, header, engine), {"done": bool})
    if cache.path is None or cache.load() == DONE:
        return
    cache.store({"done": False})
    if cache.load() is None:
        return  # where nothing can be kept, a driver can keep nothing either
    notify("the GPU's driver compiles what this model needs; the next start does without")
    room = scheduler.context_size - 1
    batch = min(scheduler.options.batch_size, room)
    # The longest first: buffers grow no more then, by which Mesa 22's lavapipe crashes.
    end = time.monotonic() + SECONDS
    for length in sorted({*LENGTHS, batch}, reverse=True):
        if length <= room and scheduler.generates and time.monotonic() < end:
            first = length % scheduler.model.vocab_size  # unlike the others, whose states are kept
            scheduler.compute([first] + [0] * (length - 1))
    cache.store(DONE)


def _identity(scheduler: Scheduler, header: Header, engine: Engine) -> str:
    """Return all that the compiled programs depend on; empty where that is not known."""
    build = engine_build.build_identity()
    if not build:
        return ""
    shape = {key: value for key, value in header.metadata.items() if isinstance(value, int | float)}
    options = scheduler.options
    asked = (options.batch_size, options.cache_type_k, options.cache_type_v, options.flash_attn)
    devices = [device for device, _ in engine.own_devices]
    facts = (build, presence.facts(), shape, header.architecture, asked, devices, _caches())
    return "\n".join(map(str, facts))


def _caches() -> list[int]:
    """Return what changes when a driver's cache is deleted."""
    found = []
    for folder in presence.shader_caches():
        with contextlib.suppress(OSError):
            found.append(os.stat(folder).st_ino)
    return found
