"""LoRA adapters: loaded on first use, switched between answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from runtime.container import lora_sections
from runtime.container.bundle_file import Bundle
from runtime.errors import ModelError
from runtime.host import user_files
from runtime.inference.manner import Adapters
from runtime.inference.scheduler import Scheduler
from runtime.model.llama_api import NO_REASON, api, native_call
from runtime.model.model import Model
from runtime.sanitize import plain
from runtime.weights.stdio_file import RangeFile


class Lora:
    """The adapters of one model; the engine frees them with the model."""

    def __init__(
        self, model: Model, engine: Scheduler, bundle: Bundle | None, *, keep: bool = False
    ) -> None:
        """Start without adapters; names are looked up in `bundle` first, then as files.

        `keep` their files open, for a model that is loaded again when no files can be opened.
        """
        self._kept: dict[str, int] | None = {} if keep else None
        """Descriptors of the files, by name."""
        self._model, self._engine, self._bundle = model, engine, bundle
        self._sections = bundle.manifest.sections if bundle else ()
        self._handles: dict[str, Any] = {}
        self._loading = threading.Lock()
        self.open_file: Callable[[str], int] = user_files.open_seekable
        """Opens files; replaced when this process cannot any more."""
        self.strengths: dict[str, float] = {}
        """Scale of each adapter in use, by name."""

    def use(self, text: str) -> None:
        """Use the adapters of the `--lora` option `text`.

        Raise UsageError if there is no such adapter, ModelError if the engine cannot use it.
        """
        self.use_scales(lora_sections.requested(self._sections, text))

    def use_scales(self, wanted: dict[str, float]) -> None:
        """Use adapters by their names for all answers from now on; raise as `use` does."""
        if wanted != self.strengths:
            self._engine.use_adapters(self.adapters(wanted))
            self.strengths = wanted

    def adapters(self, wanted: Mapping[str, float]) -> Adapters:
        """Return adapters by their names, loaded; raise as `use` does. Safe from any thread."""
        with self._loading:
            handles = {name: self._handle(name) for name in wanted}
        scales = tuple((name, scale) for name, scale in wanted.items() if scale)
        return Adapters(scales, tuple(handles[name] for name, _ in scales))

    @property
    def names(self) -> list[str]:
        """Return the names of all adapters known by now."""
        names = [part.name for part in self._sections if part.kind == "adapter"]
        return names + [name for name in self._handles if name not in names]

    def describe(self) -> str:
        """Return a line that lists the known adapters with their scales."""
        if not (names := self.names):
            return "there are no adapters in this file; /lora FILE.gguf uses one"
        shown = (f"{name}={self.strengths.get(name, 0):g}" for name in names)
        return plain("adapters: " + ", ".join(shown))

    def move_to(self, model: Model, engine: Scheduler) -> None:
        """Use the same adapters with the model loaded again; raise as `use` does."""
        self._model, self._engine = model, engine
        self._handles.update({name: self._loaded(name) for name in self._handles})
        if self.strengths:
            engine.use_adapters(self.adapters(self.strengths))

    def close(self) -> None:
        """Close the files that were kept open."""
        for fd in (self._kept or {}).values():
            os.close(fd)
        self._kept = None

    def _handle(self, name: str) -> Any:
        if name not in self._handles:
            self._handles[name] = self._loaded(name)
        return self._handles[name]

    def _loaded(self, name: str) -> Any:
        with (
            lora_sections.open_adapter(self._bundle, name, self._opened) as (fd, offset),
            RangeFile(fd, offset) as file,
        ):
            # While nothing is computed: the model gets another part.
            handle, reason = self._engine.between_steps(lambda _: self._load(file))
        if not handle:
            raise ModelError(
                f"the engine cannot use the adapter '{name}': {reason}",
                hint="it must have been trained on this very model",
            )
        return handle

    def _opened(self, name: str) -> int:
        """Return a descriptor of the file, which the caller owns."""
        if self._kept is None:
            return self.open_file(name)
        if name not in self._kept:
            self._kept[name] = self.open_file(name)
        return os.dup(self._kept[name])

    def _load(self, file: RangeFile) -> tuple[Any, str]:
        """Return a `llama_adapter_lora*`, or null and the engine's reason."""
        with native_call() as call:
            handle = api.llama_adapter_lora_init_from_file_ptr(self._model.handle, file.pointer)
        return handle, call.reason or NO_REASON
