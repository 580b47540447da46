"""llama.cpp's context over a model: what it has computed, and the batch that it computes next."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from runtime.errors import ModelError
from runtime.host.interrupts import interrupts_deferred
from runtime.inference.batch import Batch
from runtime.inference.slots import Slots
from runtime.model import llama_api
from runtime.model.llama_api import NO_REASON, api, log, native_call
from runtime.model.model import Model
from runtime.options.registry import Options

NO_ROOM, ABORTED = 1, 2  # of llama_decode's codes, those that are no failure


class Context:
    """A context; after its creation for one thread alone, but for `abort`."""

    def __init__(self, model: Model, options: Options, size: int, threads: int) -> None:
        """Create it for `size` tokens; raise ModelError when the engine cannot."""
        settings = api.llama_context_default_params()
        settings.n_ctx = size
        batch = max(min(options.batch_size, size), options.parallel, 1)
        settings.n_batch = settings.n_ubatch = batch
        settings.n_seq_max = options.parallel
        settings.kv_unified = True
        settings.n_threads = threads
        settings.n_threads_batch = options.threads_batch or threads
        settings.no_perf = True
        with native_call() as call:
            self.handle = api.llama_init_from_model(model.handle, settings)
        if not self.handle:
            raise ModelError(
                f"the engine cannot set up a context of {size} tokens: {call.reason or NO_REASON}",
                hint="try a smaller one with -c",
            )
        self.size = int(api.llama_n_ctx(self.handle))
        self.generates = bool(api.llama_get_memory(self.handle))
        """Whether the model can go on with a text; some only turn it into vectors."""
        self.abort = llama_api.abort_flag(self.handle)
        """Stops what is being decoded when it is set, by any thread."""
        self.failure = ""
        """Why the last decode failed, in the engine's words; empty where it did not."""
        self.batch = Batch(int(api.llama_n_batch(self.handle)))
        self.slots = Slots(self.handle, options.parallel, rewinds=model.rewinds)

    def decode(self) -> int:
        """Decode the batch; return llama_decode's code, 0 for success."""
        with log.captured() as capture:
            status = self.batch.decode(self.handle)
        self.failure = (capture.reason or NO_REASON) if status else ""
        return status

    def use_adapters(self, adapters: Sequence[tuple[Any, float]]) -> None:
        """Use these LoRA adapters of the model, each at its strength, from now on.

        What was computed with others is forgotten. Raise ModelError when the engine refuses.
        """
        handles = (api.llama_adapter_lora_p_ctypes * len(adapters))(*(a for a, _ in adapters))
        scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
        if api.llama_set_adapters_lora(self.handle, handles, len(adapters), scales):
            raise ModelError("the engine refuses the adapters", hint="leave one out of --lora")
        for slot in self.slots:
            self.slots.cut(slot, 0)

    def close(self) -> None:
        """Free it."""
        if self.handle:
            self.batch.close()
            with interrupts_deferred():
                api.llama_free(self.handle)
            self.handle = None
