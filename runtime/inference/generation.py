"""One running answer: its tokens, sampler, detokenizer and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from runtime.errors import AppError
from runtime.inference.answer_form import AnswerForm
from runtime.inference.detokenizer import Detokenizer
from runtime.inference.kv_cache.slots import Slot
from runtime.inference.manner import NO_ADAPTERS, PLAIN, Manner
from runtime.inference.sampler import Sampler
from runtime.inference.stats import FinishReason
from runtime.inference.stops import stop_tokens
from runtime.inference.token_stream import Piece, PrefillProgress, SampledToken, TokenSink
from runtime.model.model import Model
from runtime.model.projector.media_prompt import Chunk, chunks_of, without_cells
from runtime.options.registry import Options

CHARACTER = 4
"""The most bytes, and so the most tokens, of a character in UTF-8."""


class Generation:
    """State of one answer; used by the decoding thread only."""

    def __init__(
        self,
        model: Model,
        prompt: Sequence[int],
        options: Options,
        context_size: int,
        alternatives: int | None,
        form: AnswerForm | None = None,
        manner: Manner = PLAIN,
    ) -> None:
        """Create the sampler; raise AppError if an option is invalid."""
        self.sink = TokenSink()
        self.tokens = list(prompt)
        """The tokens and cells of the prompt, then the tokens of the answer so far."""
        self._chunks = chunks_of(prompt)
        # Prompts of text alone, which may be very long, are not looked through for any.
        numbered = enumerate(prompt) if self._chunks else ()
        self._chunk_places = [place for place, one in numbered if one in self._chunks]
        self.slot: Slot | None = None
        self.reuses = options.cache_prompt
        self.wanted_slot = manner.slot
        self.adapters = manner.adapters or NO_ADAPTERS
        self._seconds = manner.seconds
        self.shared = 0
        """Length of the prefix in common with another running answer, in tokens, at the start."""
        stats = self.sink.stats
        stats.prompt_tokens, stats.context_size = len(prompt), context_size
        self._model = model
        self._limit = options.n_predict
        self._special = options.special
        self._stop_tokens = stop_tokens(model, options)
        self._shown = _single_tokens(model, form.shown_tokens) if form else frozenset[int]()
        # When a grammar is complete it allows only an end-of-generation token.
        held = options.grammar or options.json_schema or (form and form.grammar)
        self._ignore_eog = options.ignore_eos and not held
        self._alternatives = alternatives
        read = without_cells(prompt) if self._chunks else prompt
        before = b"".join(model.piece(token, special=True) for token in read[-CHARACTER:])
        self._detokenizer = Detokenizer(options.stop, before=before)
        self._sampler = Sampler(
            model, options, context_size, read, form, after_sampling=manner.after_sampling
        )
        self._unsent_tokens: list[int] = []
        self._unsent_logprobs: list[SampledToken] = []
        self._submitted_at = time.perf_counter()
        self._started_at = self._first_token_at = 0.0

    @property
    def pending(self) -> int:
        """Return the number of tokens not decoded yet."""
        return len(self.tokens) - (len(self.slot.held) if self.slot else 0)

    @property
    def chunk(self) -> Chunk | None:
        """Return the picture or sound that comes next, None if a token does."""
        if not self._chunks or self.slot is None or not self.pending:
            return None
        return self._chunks.get(self.tokens[len(self.slot.held)])

    @property
    def readable(self) -> int:
        """Return the number of tokens not decoded yet, up to the next picture or sound."""
        if not self._chunks or self.slot is None:
            return self.pending
        held = len(self.slot.held)
        ends = (place for place in self._chunk_places if place >= held)
        return next(ends, len(self.tokens)) - held

    @property
    def running(self) -> bool:
        """Return whether the prompt is decoded, so that each step decodes one token."""
        return bool(self._first_token_at) and self.pending == 1

    @property
    def left(self) -> int:
        """Return how many more tokens the answer may have."""
        return sys.maxsize if self._limit < 0 else self._limit - self.sink.stats.generated_tokens

    def start(self, slot: Slot, shared: int) -> None:
        """Start, or resume, in `slot`, which may already hold a prefix of the tokens.

        `shared` is the length of the prefix in common with another running answer.
        """
        self.slot = slot
        self.sink.stats.slot = slot.number
        self.shared = shared
        if not self._started_at:
            self._started_at = time.perf_counter()
            self.sink.stats.queue_seconds = self._started_at - self._submitted_at
            self.sink.stats.cached_tokens = len(slot.held)

    def report_progress(self) -> None:
        """Report the progress of decoding the prompt to the reader."""
        if self.slot and not self._first_token_at:
            stats = self.sink.stats
            seconds = time.perf_counter() - self._started_at
            held = len(self.slot.held)
            self.sink.report_progress(
                PrefillProgress(stats.prompt_tokens, stats.cached_tokens, held, seconds)
            )

    def advance(self, context: Any, index: int) -> FinishReason:
        """Sample a token from the logits at batch index `index`; return the finish reason, or NONE.

        `context` is the `llama_context*`. Raise ModelError if no token can be sampled.
        """
        stats = self.sink.stats
        stats.context_used = len(self.tokens)
        if not self.left:
            stats.prompt_seconds = time.perf_counter() - self._started_at
            return FinishReason.LENGTH
        token = self._sampler.sample(context, index)
        now = time.perf_counter()
        if not self._first_token_at:
            self._first_token_at = now
            stats.prompt_seconds = now - self._started_at
        stats.generate_seconds = now - self._first_token_at
        if token in self._stop_tokens:
            stats.stopped_by = self._model.spelled(token)
            return FinishReason.STOP
        if self._model.is_eog(token) and not self._ignore_eog:
            self._emit(self._detokenizer.feed(b"", self._model.piece(token, special=True)))
            stats.stopped_by = self._detokenizer.stopped
            return FinishReason.STOP
        stats.generated_tokens += 1
        if self._alternatives is not None:
            self._unsent_logprobs.append(
                self._sampler.logprobs(context, index, token, self._alternatives)
            )
        self.tokens.append(token)
        self._unsent_tokens.append(token)
        shown = self._model.piece(token, special=self._special or token in self._shown)
        hidden = b"" if shown else self._model.piece(token, special=True)
        self._emit(self._detokenizer.feed(shown, hidden))
        if self._detokenizer.stopped:
            stats.stopped_by = self._detokenizer.stopped
            return FinishReason.STOP
        late = self._seconds and stats.generate_seconds > self._seconds and b"\n" in shown
        if not self.left or late:
            return FinishReason.LENGTH
        full = len(self.tokens) > stats.context_size
        return FinishReason.CONTEXT if full else FinishReason.NONE

    def _emit(self, text: str) -> None:
        if text:
            self.sink.put(Piece(text, tuple(self._unsent_tokens), tuple(self._unsent_logprobs)))
            self._unsent_tokens.clear()
            self._unsent_logprobs.clear()

    def end(self, reason: FinishReason, error: AppError | None) -> None:
        """Send the text held back and the end of the stream to the reader, and free the sampler."""
        self.sink.stats.reason = reason
        rest = self._detokenizer.rest()
        if rest or self._unsent_tokens:
            self.sink.put(Piece(rest, tuple(self._unsent_tokens), tuple(self._unsent_logprobs)))
        self.close()
        self.sink.end(error)

    def close(self) -> None:
        """Free the sampler."""
        self._sampler.close()


def _single_tokens(model: Model, texts: Sequence[str]) -> frozenset[int]:
    """Return the tokens of those texts that are one token each."""
    found = [model.tokenize(text, beginning=False) for text in texts]
    return frozenset(tokens[0] for tokens in found if len(tokens) == 1)
