"""Context of llama.cpp: KV cache, sequence slots, and the batch for the next decode step."""

from __future__ import annotations

import ctypes
import re
from typing import Any

from runtime.errors import MemoryShortage, ModelError
from runtime.gguf.tensor_types import NUMBERS
from runtime.host.interrupts import interrupts_deferred
from runtime.inference.kv_cache.batch import Batch
from runtime.inference.kv_cache.slots import Slots
from runtime.inference.manner import NO_ADAPTERS, Adapters
from runtime.model import llama_api
from runtime.model.engine_build import FLASH_ATTENTION
from runtime.model.llama_api import NO_REASON, api, log, native_call
from runtime.model.model import Model
from runtime.options.registry import Options

NO_ROOM, ABORTED = 1, 2  # results of llama_decode that are not errors
NO_MEMORY = re.compile("alloc|vector")
"""In the engine's reason: what it, or the C++ library, could not allocate."""


def context_parameters(options: Options, size: int, threads: int) -> Any:
    """Return the engine's `llama_context_params` for a context of `size` tokens."""
    settings = api.llama_context_default_params()
    settings.n_ctx = size
    batch = max(min(options.batch_size, size), options.parallel, 1)
    settings.n_batch = settings.n_ubatch = batch
    settings.n_seq_max = options.parallel
    settings.n_outputs_max = options.parallel  # else logits of a whole batch are reserved
    settings.kv_unified = True
    settings.n_threads = threads
    settings.n_threads_batch = options.threads_batch or threads
    settings.no_perf = True
    settings.type_k = NUMBERS[options.cache_type_k]
    settings.type_v = NUMBERS[options.cache_type_v]
    settings.flash_attn_type = FLASH_ATTENTION[options.flash_attn]
    return settings


class Context:
    """A `llama_context*`, owned by this object until `close`.

    Only one thread may use it after creation, except that any thread may set `abort`.
    """

    def __init__(self, model: Model, options: Options, size: int, threads: int) -> None:
        """Create a context of `size` tokens.

        Raise MemoryShortage if the engine finds no memory for it, ModelError if it cannot at all.
        """
        settings = context_parameters(options, size, threads)
        with native_call() as call:
            self.handle = api.llama_init_from_model(model.handle, settings)
        if not self.handle:
            problem = f"the engine cannot set up a context of {size} tokens: "
            problem += call.reason or NO_REASON
            if NO_MEMORY.search(call.reason):
                raise MemoryShortage(problem, hint="try a smaller one with -c")
            raise ModelError(problem, hint="try without -ctk, -ctv and -fa if they are given")
        self.size = int(api.llama_n_ctx(self.handle))
        self.generates = bool(api.llama_get_memory(self.handle))
        """Whether the model can generate text; some models only compute embeddings."""
        self.abort = llama_api.abort_flag(self.handle)
        """A `c_bool`: aborts the running decode while true; any thread may set it."""
        self.failure = ""
        """The engine's reason why the last decode failed; empty if it succeeded."""
        self.batch = Batch(int(api.llama_n_batch(self.handle)))
        self._adapters = NO_ADAPTERS
        self.slots = Slots(self.handle, options.parallel, can_rewind=model.can_rewind)

    def decode(self) -> int:
        """Decode the batch; return llama_decode's status, 0 for success."""
        with log.captured() as capture:
            status = self.batch.decode(self.handle)
        self.failure = (capture.reason or NO_REASON) if status else ""
        return status

    def use_adapters(self, adapters: Adapters) -> None:
        """Use these LoRA adapters from the next decode step on; raise ModelError if that fails."""
        if adapters == self._adapters:
            return
        count = len(adapters.handles)
        handles = (api.llama_adapter_lora_p_ctypes * count)(*adapters.handles)
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters.scales))
        with log.captured() as call:
            failed = api.llama_set_adapters_lora(self.handle, handles, count, scales)
        if failed:
            raise ModelError(
                f"the engine refuses the adapters: {call.reason or NO_REASON}",
                hint="leave one out of --lora",
            )
        self._adapters = adapters

    def close(self) -> None:
        """Free the context and its batch."""
        if self.handle:
            self.batch.close()
            with interrupts_deferred():
                api.llama_free(self.handle)
            self.handle = None
