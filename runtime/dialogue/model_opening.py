"""Opening of a model: weights in the engine, on devices where they fit, and a context over them.

What is planned is an estimate: where the engine cannot allocate as much, there is less of it, first
of layers on devices, then of context.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass

from runtime.devices import loss, placement
from runtime.devices.engine import Engine
from runtime.errors import AppError, MemoryShortage, ModelError
from runtime.host.progress_bar import progress
from runtime.inference.sampler_chain import order_of
from runtime.inference.scheduler import Scheduler
from runtime.inference.stops import stop_tokens
from runtime.model import loader, memory_plan
from runtime.model.model import Model
from runtime.model.model_file import ModelFile
from runtime.model.offload import NONE, Offload
from runtime.options.registry import Options
from runtime.units import gigabytes


def _no_progress(done: int, total: int) -> None:
    """Show no progress."""


class DeviceFailed(Exception):
    """The engine cannot put as much of a model on devices; it never leaves this module."""

    def __init__(self, offload: Offload, reason: AppError) -> None:
        super().__init__(reason.problem)
        self.offload, self.reason = offload, reason


@dataclass
class Timing:
    """Seconds and bytes before the first token."""

    opening_s: float = 0.0
    """From the start of our own code to here: imports, options, the bundle's manifest."""
    engine_s: float = 0.0
    """Choice and loading of the engine's libraries, and of devices."""
    restore_s: float = 0.0
    """Decompression before loading; 0 if the model is decompressed while it is loaded."""
    restored_bytes: int = 0
    load_s: float = 0.0
    """Loading of the weights, with their repacking."""
    context_s: float = 0.0
    """Allocation of KV cache and buffers."""
    prewarm_s: float = 0.0
    """Loading of the prompt state that was computed while bundling."""


@dataclass(frozen=True)
class Opened:
    """A model with its context, both owned by whoever asked for them."""

    model: Model
    scheduler: Scheduler
    offload: Offload
    """Where its layers are."""
    device_bytes: int
    """How much less is free on the devices; 0 if drivers do not tell."""

    @property
    def device_layers(self) -> int:
        """Return how many layers are on devices."""
        asked = self.offload.layers
        return self.model.layers if asked < 0 else min(asked, self.model.layers)


class ModelOpening:
    """The steps of opening `file`; what they take is noted in `timing`."""

    def __init__(
        self,
        file: ModelFile,
        engine: Engine,
        options: Options,
        notify: Callable[[str], None],
        timing: Timing,
        *,
        again: bool = False,
    ) -> None:
        """`again` is for a model that was loaded before: nothing of it is shown or made smaller."""
        self._again = again
        self._file, self._engine, self._options, self._notify = file, engine, options, notify
        self._timing = timing

    def open(self, context: int, offload: Offload | None = None) -> Opened:
        """Return the model with a context of that many tokens, or less if there is no memory.

        `offload` is where its layers were, if it was loaded before. Raise AppError if even the
        processor alone cannot; everything allocated is then freed.
        """
        free = placement.free_memory(self._engine)
        while True:
            with ExitStack() as stack:
                try:
                    offload, model = self._loaded(offload, context)
                    stack.callback(model.close)
                    stop_tokens(model, self._options)  # a wrong one is told now
                    order_of(self._options.samplers)
                    begin = time.perf_counter()
                    with self._limited(offload):
                        scheduler = self._scheduler(
                            model, context, halve=not (self._again or offload.layers)
                        )
                    self._timing.context_s = time.perf_counter() - begin
                    stack.pop_all()
                    used = max(0, free - placement.free_memory(self._engine))
                    return Opened(model, scheduler, offload, used)
                except DeviceFailed as exc:
                    offload = self._fewer(exc)
                except (MemoryShortage, ModelError) as exc:
                    if offload is None or not offload.layers:
                        raise
                    if isinstance(exc, MemoryShortage):
                        offload = self._fewer(DeviceFailed(offload, exc))
                    else:
                        offload = NONE
                        self._notify(f"{self._names} cannot be used: {exc.problem}")

    def _loaded(self, offload: Offload | None, context: int) -> tuple[Offload, Model]:
        """Load the model, with its layers where they are told to be, or else as they fit.

        Return where they are. Raise DeviceFailed if that fails with layers on devices.
        """
        file, options = self._file, self._options
        begin = time.perf_counter()
        label = f"unpacking {gigabytes(file.size)}"
        shown = file.compressed and not self._again
        with progress(label) if shown else nullcontext(_no_progress) as update:
            stream = loader.open_model(file, options, update, self._notify)
            if file.compressed:
                self._timing.restore_s = time.perf_counter() - begin
                self._timing.restored_bytes = file.size
            begin = time.perf_counter()
            with stream:
                if offload is None:
                    with self._limited():
                        offload = placement.place(stream, self._engine, options, context)
                try:
                    with self._limited(offload) as heard:
                        model = Model(file, stream, options, offload, heard)
                except ModelError as exc:
                    if not offload.layers:
                        raise
                    raise DeviceFailed(offload, exc) from exc
        self._timing.load_s = time.perf_counter() - begin
        return offload, model

    def _scheduler(self, model: Model, context: int, *, halve: bool) -> Scheduler:
        """Return a scheduler with a context, halved until the engine can allocate it.

        Without `halve`, raise MemoryShortage at once where it cannot.
        """
        while True:
            try:
                return Scheduler(model, self._options, context)
            except MemoryShortage:
                least = memory_plan.SMALLEST_CONTEXT
                if not halve or not self._options.fit or context // 2 < least:
                    raise
            context = context // 2

    def _limited(
        self, offload: Offload | None = None
    ) -> AbstractContextManager[Callable[[], None]]:
        """Limit how long devices of this machine take to do something, if they are used."""
        names = ", ".join(device.title for device, _ in self._engine.own_devices)
        if not names or (offload and not offload.layers):
            return nullcontext(lambda: None)
        return loss.limited(names, self._options.device_timeout, "loaded")

    @property
    def _names(self) -> str:
        return ", ".join(device.title for device, _ in self._engine.devices)

    def _fewer(self, failed: DeviceFailed) -> Offload:
        """Return what to try next where devices could not take layers, and tell the user."""
        layers = self._file.header.hyper("block_count") + 1
        less = placement.fewer(failed.offload, layers)
        instead = f"trying with {less.layers} layers there" if less.layers else "using none of it"
        self._notify(f"{self._names}: no room for the model ({failed.reason.problem}); {instead}")
        return less
