"""LoRA adapters: loaded on first use, switched between answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.container import lora_sections
from runtime.container.bundle_file import Bundle
from runtime.errors import ModelError
from runtime.host import user_files
from runtime.inference.scheduler import Scheduler
from runtime.model.llama_api import NO_REASON, api, native_call
from runtime.model.model import Model
from runtime.sanitize import plain
from runtime.weights.stdio_file import RangeFile


class Lora:
    """The adapters of one model; the engine frees them with the model."""

    def __init__(self, model: Model, engine: Scheduler, bundle: Bundle | None) -> None:
        """Start without adapters; names are looked up in `bundle` first, then as files."""
        self._model, self._engine, self._bundle = model, engine, bundle
        self._sections = bundle.manifest.sections if bundle else ()
        self._handles: dict[str, Any] = {}
        self.open_file: Callable[[str], int] = user_files.open_seekable
        """Opens files; replaced when this process cannot any more."""
        self.strengths: dict[str, float] = {}
        """Scale of each adapter in use, by name."""

    def use(self, text: str) -> None:
        """Use the adapters of the `--lora` option `text`; clears the KV cache if they change.

        Raise UsageError if there is no such adapter, ModelError if the engine cannot use it.
        """
        wanted = lora_sections.requested(self._sections, text)
        if wanted == self.strengths:
            return
        self._engine.use_adapters([(self._handle(name), wanted[name]) for name in wanted])
        self.strengths = wanted

    def describe(self) -> str:
        """Return a line that lists the known adapters with their scales."""
        names = [part.name for part in self._sections if part.kind == "adapter"]
        names += [name for name in self._handles if name not in names]
        if not names:
            return "there are no adapters in this file; /lora FILE.gguf uses one"
        shown = (f"{name}={self.strengths.get(name, 0):g}" for name in names)
        return plain("adapters: " + ", ".join(shown))

    def _handle(self, name: str) -> Any:
        if name not in self._handles:
            with (
                lora_sections.open_adapter(self._bundle, name, self.open_file) as (fd, offset),
                RangeFile(fd, offset) as file,
                native_call() as call,
            ):
                handle = api.llama_adapter_lora_init_from_file_ptr(self._model.handle, file.pointer)
            if not handle:
                raise ModelError(
                    f"the engine cannot use the adapter '{name}': {call.reason or NO_REASON}",
                    hint="it must have been trained on this very model",
                )
            self._handles[name] = handle
        return self._handles[name]
