"""One answer in the making: its tokens, its sampler, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from runtime.errors import AppError
from runtime.inference.detokenizer import Detokenizer
from runtime.inference.sampler import Sampler
from runtime.inference.slots import Slot
from runtime.inference.stats import FinishReason
from runtime.inference.token_stream import Chosen, Feed, Piece, Reading
from runtime.model.model import Model
from runtime.options.registry import Options


class Generation:
    """What the engine's thread knows of one answer."""

    def __init__(
        self,
        model: Model,
        prompt: Sequence[int],
        options: Options,
        context_size: int,
        alternatives: int | None,
    ) -> None:
        """Prepare it; raise AppError where the options are wrong."""
        self.feed = Feed()
        self.tokens = list(prompt)
        """The prompt and the answer so far."""
        self.slot: Slot | None = None
        self.reuses = options.cache_prompt
        self.shared = 0
        """Tokens that it had in common with a running answer when it started."""
        stats = self.feed.stats
        stats.prompt_tokens, stats.context_size = len(prompt), context_size
        self._model = model
        self._limit = options.n_predict
        self._special = options.special
        # Where a grammar is complete, nothing but an end can follow.
        self._endless = options.ignore_eos and not (options.grammar or options.json_schema)
        self._alternatives = alternatives
        self._text = Detokenizer(options.stop)
        self._sampler = Sampler(model, options, context_size, prompt)
        self._unsaid: list[int] = []
        self._chosen: list[Chosen] = []
        self._submitted = time.perf_counter()
        self._begun = self._first = 0.0

    @property
    def pending(self) -> int:
        """Return how many tokens are still to be computed."""
        return len(self.tokens) - (len(self.slot.held) if self.slot else 0)

    @property
    def running(self) -> bool:
        """Tell whether it only waits for its next token."""
        return bool(self._first) and self.pending == 1

    @property
    def left(self) -> int:
        """Return how many tokens the answer may yet have."""
        return sys.maxsize if self._limit < 0 else self._limit - self.feed.stats.generated_tokens

    def start(self, slot: Slot, shared: int) -> None:
        """Begin, or go on, in `slot`, which may hold the beginning already."""
        self.slot = slot
        self.shared = shared
        if not self._begun:
            self._begun = time.perf_counter()
            self.feed.stats.queue_seconds = self._begun - self._submitted
            self.feed.stats.cached_tokens = len(slot.held)

    def read(self) -> None:
        """Tell the reader that another part of the prompt is done."""
        if self.slot and not self._first:
            stats = self.feed.stats
            seconds = time.perf_counter() - self._begun
            held = len(self.slot.held)
            self.feed.read(Reading(stats.prompt_tokens, stats.cached_tokens, held, seconds))

    def advance(self, context: Any, index: int) -> FinishReason:
        """Choose a token by the logits at `index`; return why the answer ends, NONE if it goes on.

        Raise ModelError where no token can be chosen.
        """
        stats = self.feed.stats
        stats.context_used = len(self.tokens)
        if not self.left:
            stats.prompt_seconds = time.perf_counter() - self._begun
            return FinishReason.LENGTH
        token = self._sampler.sample(context, index)
        now = time.perf_counter()
        if not self._first:
            self._first = now
            stats.prompt_seconds = now - self._begun
        stats.generate_seconds = now - self._first
        if self._model.ends(token) and not self._endless:
            return FinishReason.STOP
        stats.generated_tokens += 1
        if self._alternatives is not None:
            self._chosen.append(self._sampler.chosen(context, index, token, self._alternatives))
        self.tokens.append(token)
        self._unsaid.append(token)
        self._say(self._text.feed(self._model.piece(token, special=self._special)))
        if self._text.stopped:
            stats.stopped_by = self._text.stopped
            return FinishReason.STOP
        if not self.left:
            return FinishReason.LENGTH
        full = len(self.tokens) > stats.context_size
        return FinishReason.CONTEXT if full else FinishReason.NONE

    def _say(self, text: str) -> None:
        if text:
            self.feed.put(Piece(text, tuple(self._unsaid), tuple(self._chosen)))
            self._unsaid.clear()
            self._chosen.clear()

    def end(self, reason: FinishReason, error: AppError | None) -> None:
        """Say what was held back, and that this was all."""
        self.feed.stats.reason = reason
        rest = self._text.rest()
        if rest or self._unsaid:
            self.feed.put(Piece(rest, tuple(self._unsaid), tuple(self._chosen)))
        self.close()
        self.feed.end(error)

    def close(self) -> None:
        """Free the sampler."""
        self._sampler.close()
