"""Generate tokens: one context, one sequence, and never the same prefix twice."""

from __future__ import annotations

import codecs
import ctypes
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runtime import machine
from runtime.errors import ModelError
from runtime.llama import api, log
from runtime.model import Model
from runtime.options import Options


@dataclass
class Stats:
    """What one answer cost."""

    prompt_tokens: int = 0
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt whose state was still there."""
    prompt_seconds: float = 0.0
    generated_tokens: int = 0
    generate_seconds: float = 0.0
    context_used: int = 0
    context_size: int = 0
    reason: str = ""
    """Why the answer ended: stop, length, context or cancelled."""

    def line(self) -> str:
        """Return one line for people."""
        computed = self.prompt_tokens - self.cached_tokens
        prompt = f"prompt {self.prompt_tokens} tokens"
        if self.cached_tokens:
            prompt += f" ({self.cached_tokens} cached)"
        if computed and self.prompt_seconds:
            prompt += f", {computed / self.prompt_seconds:.1f} tokens/s"
        answer = f"answer {self.generated_tokens} tokens"
        if self.generate_seconds and self.generated_tokens > 1:
            answer += f", {(self.generated_tokens - 1) / self.generate_seconds:.1f} tokens/s"
        first = f"first after {self.prompt_seconds:.2f} s"
        context = f"context {self.context_used} of {self.context_size}"
        return f"{prompt} · {answer} · {first} · {context}"


class Engine:
    """A context over a model. Not for two threads at once, except `cancel`."""

    def __init__(self, model: Model, options: Options, context_size: int) -> None:
        """Create the context; raise ModelError when the engine cannot."""
        self.model = model
        self.options = options
        self.stats = Stats()
        self.threads = options.threads or machine.physical_cores()
        settings = api.llama_context_default_params()
        settings.n_ctx = context_size
        settings.n_batch = settings.n_ubatch = min(options.batch_size, max(context_size, 1))
        settings.n_threads = self.threads
        settings.n_threads_batch = options.threads_batch or self.threads
        settings.no_perf = True
        log.recent.clear()
        self._context = api.llama_init_from_model(model.handle, settings)
        if not self._context:
            raise ModelError(
                f"the engine cannot set up a context of {context_size} tokens: "
                f"{log.last_error() or 'no reason given'}",
                hint="try a smaller one with -c",
            )
        self._memory = api.llama_get_memory(self._context)
        self._batch_size = int(settings.n_batch)
        self.context_size = int(api.llama_n_ctx(self._context))
        self._tokens: list[int] = []
        # A plain attribute: a lock, such as an Event's, held by the code that a signal
        # interrupts would make the handler wait for ever.
        self._cancelled = False

    def close(self) -> None:
        """Free the context."""
        if self._context:
            api.llama_free(self._context)
            self._context = None

    def cancel(self) -> None:
        """End the running answer within one step; safe from any thread or signal handler."""
        self._cancelled = True

    def generate(self, prompt: Sequence[int], options: Options | None = None) -> Iterator[str]:
        """Yield the answer to `prompt` in pieces of text, whole characters only.

        `stats` tells afterwards, or as far as it went, what it cost and why it ended. Raise
        ModelError when the prompt is empty or does not fit into the context.
        """
        options = options or self.options
        self._cancelled = False
        self.stats = stats = Stats(len(prompt), context_size=self.context_size)
        if not prompt:
            raise ModelError("the prompt is empty", hint="ask something")
        if len(prompt) >= self.context_size:
            raise ModelError(
                f"the prompt has {len(prompt)} tokens, the context has room for "
                f"{self.context_size - 1}",
                hint="shorten it, or give more context with -c",
            )
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        sampler = _sampler(self.model, options, prompt)
        try:
            begin = time.perf_counter()
            self._prefill(prompt)
            if not self._cancelled:
                for token in self._sampled(sampler, options, begin):
                    if text := decoder.decode(self.model.piece(token)):
                        yield text
            if self._cancelled:
                stats.reason = "cancelled"
            if text := decoder.decode(b"", final=True):
                yield text
        finally:
            api.llama_sampler_free(sampler)

    def _prefill(self, prompt: Sequence[int]) -> None:
        """Compute the state of `prompt`, taking over the prefix that is there already."""
        # The last token is always computed: its logits are what the answer starts from.
        keep = min(_common(self._tokens, prompt), len(prompt) - 1)
        if not api.llama_memory_seq_rm(self._memory, 0, keep, -1):
            # Recurrent models cannot forget a part of what they read.
            api.llama_memory_clear(self._memory, True)
            keep = 0
        del self._tokens[keep:]
        self.stats.cached_tokens = keep
        for start in range(keep, len(prompt), self._batch_size):
            if self._cancelled:
                return
            self._decode(prompt[start : start + self._batch_size])

    def _sampled(self, sampler: ctypes.c_void_p, options: Options, begin: float) -> Iterator[int]:
        """Yield sampled tokens, each after being decoded, until the answer ends."""
        stats = self.stats
        stats.reason = "length"
        limit = options.n_predict
        first = 0.0
        while limit and not self._cancelled:
            token = int(api.llama_sampler_sample(sampler, self._context, -1))
            now = time.perf_counter()
            first = first or now
            stats.prompt_seconds = first - begin
            stats.generate_seconds = now - first
            if self.model.ends(token) and not options.ignore_eos:
                stats.reason = "stop"
                return
            stats.generated_tokens += 1
            yield token
            if stats.generated_tokens == limit:
                return
            if len(self._tokens) >= self.context_size:
                stats.reason = "context"
                return
            self._decode([token])

    def _decode(self, tokens: Sequence[int]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        log.recent.clear()
        status = api.llama_decode(self._context, api.llama_batch_get_one(array, len(tokens)))
        if status:
            self._tokens.clear()
            api.llama_memory_clear(self._memory, True)
            raise ModelError(
                f"the engine failed to compute (code {status}): "
                f"{log.last_error() or 'no reason given'}",
                hint="try a smaller context with -c, or -v for the engine's log",
            )
        self._tokens.extend(tokens)
        self.stats.context_used = len(self._tokens)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two lists have in common at their start."""
    for count, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return count
    return min(len(a), len(b))


def _sampler(model: Model, options: Options, prompt: Sequence[int]) -> ctypes.c_void_p:
    """Return the engine's sampler chain for `options`, in llama.cpp's order.

    The prompt counts as said already where repetition is penalised.
    """
    chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
    parts = []
    penalised = (
        options.repeat_penalty != 1.0
        or options.presence_penalty != 0.0
        or options.frequency_penalty != 0.0
    )
    if penalised:
        parts.append(
            api.llama_sampler_init_penalties(
                model.vocab_size,
                options.repeat_last_n,
                options.repeat_penalty,
                options.frequency_penalty,
                options.presence_penalty,
            )
        )
    if options.temp <= 0.0:
        parts.append(api.llama_sampler_init_greedy())
    else:
        parts.append(api.llama_sampler_init_top_k(options.top_k))
        parts.append(api.llama_sampler_init_top_p(options.top_p, 1))
        parts.append(api.llama_sampler_init_min_p(options.min_p, 1))
        parts.append(api.llama_sampler_init_temp(options.temp))
        seed = options.seed if options.seed >= 0 else api.LLAMA_DEFAULT_SEED
        parts.append(api.llama_sampler_init_dist(seed))
    for part in parts:
        api.llama_sampler_chain_add(chain, part)
    if penalised:
        for token in prompt:
            api.llama_sampler_accept(chain, token)
    pointer: ctypes.c_void_p = chain
    return pointer
