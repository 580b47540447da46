"""Sampler: chooses the next token by llama.cpp's sampler chain, with optional grammar."""

from __future__ import annotations

import array
import ctypes
import math
from collections.abc import Sequence
from typing import Any

from runtime.errors import NotNumbers, UsageError
from runtime.inference.answer_form import AnswerForm, FormSampler
from runtime.inference.sampler_chain import biases_of, history_length, order_of, samplers
from runtime.inference.token_stream import Logprob, SampledToken
from runtime.json_schema import schemas
from runtime.model.llama_api import api
from runtime.model.model import Model
from runtime.options.registry import Options


class Sampler:
    """The sampler chain of one answer, with the token history for its penalties."""

    def __init__(
        self,
        model: Model,
        options: Options,
        context_size: int,
        prompt: Sequence[int],
        form: AnswerForm | None = None,
        *,
        after_sampling: bool = False,
    ) -> None:
        """Build the chain; the end of `prompt` counts as history for the repetition penalties.

        The answer has the `form` given, or else that of the options' grammar or JSON schema. Log
        probabilities are the model's own, or those `after_sampling`. Raise AppError if a grammar, a
        JSON schema, a sampler or a logit bias is invalid.
        """
        self._after = after_sampling
        self._candidates: _Candidates | None = None
        self._vocab_size = model.vocab_size
        order_of(options.samplers)  # before anything is made that would have to be freed
        biases = biases_of(model, options)
        form = form or form_of(options)
        self._form = FormSampler(model, form) if form else None
        self._chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        for part in samplers(model, options, context_size, biases):
            api.llama_sampler_chain_add(self._chain, part)
        for token in prompt[len(prompt) - history_length(options, context_size, len(prompt)) :]:
            api.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        """Free everything in the engine."""
        api.llama_sampler_free(self._chain)
        self._chain = None
        if self._form:
            self._form.close()

    def sample(self, context: Any, index: int) -> int:
        """Return the next token, from the logits at batch index `index` of the `llama_context*`.

        Raise NotNumbers if the logits are NaN, UsageError if the grammar allows no token.
        """
        logits = api.llama_get_logits_ith(context, index)
        if math.isnan(logits[0]):
            raise NotNumbers(
                "the model computed something that is not a number",
                hint="the file may be damaged (verify it), or this CPU variant be wrong: --cpu x64",
            )
        if self._form and self._form.restricts:
            token = self._restricted(self._form, logits)
            api.llama_sampler_accept(self._chain, token)
        elif self._after:  # what the samplers leave is asked for
            candidates = self._all_candidates(logits)
            api.llama_sampler_apply(self._chain, candidates.pointer)
            token = candidates.selected
            api.llama_sampler_accept(self._chain, token)
        else:
            token = int(api.llama_sampler_sample(self._chain, context, index))
        if self._form:
            self._form.accept(token)
        return token

    def _restricted(self, form: FormSampler, logits: Any) -> int:
        """Return the next token, as `form` allows it."""
        candidates = self._all_candidates(logits)
        form.limit_reasoning(candidates.pointer)
        api.llama_sampler_apply(self._chain, candidates.pointer)
        # Test only the sampled token against the grammar: far cheaper than testing all tokens,
        # and it nearly always fits.
        token = candidates.selected
        if form.allows(token):
            return token
        candidates = self._all_candidates(logits)
        form.limit_reasoning(candidates.pointer)
        form.limit_to_grammar(candidates.pointer)
        api.llama_sampler_apply(self._chain, candidates.pointer)
        token = candidates.selected
        if not form.allows(token):
            raise UsageError(
                "the grammar allows none of the model's tokens here",
                hint="check the grammar: is there a way to its end from everywhere?",
            )
        return token

    def logprobs(self, context: Any, index: int, token: int, alternatives: int) -> SampledToken:
        """Return the log probability of `token`, and the `alternatives` most probable tokens.

        They are the model's own, computed from the logits before any sampler, or those that all
        samplers have left of the token just sampled.
        """
        if self._after:
            assert self._candidates is not None
            return self._candidates.left(token, alternatives)
        candidates = self._all_candidates(api.llama_get_logits_ith(context, index))
        return candidates.logprobs(token, alternatives)

    def _all_candidates(self, logits: Any) -> _Candidates:
        """Return all tokens with their logits, `(n_vocab,)` float32 owned by the context."""
        if self._candidates is None:
            self._candidates = _Candidates(self._vocab_size)
        self._candidates.fill(logits)
        return self._candidates


class _Candidates:
    """A `llama_token_data_array` of all tokens, filled by strided copies, not by a loop."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows = (api.llama_token_data * count)()
        flat = memoryview(self._rows).cast("B")
        self._ids, self._floats = flat.cast("i"), flat.cast("f")
        self._all_ids = memoryview(array.array("i", range(count)))
        first = ctypes.cast(self._rows, ctypes.POINTER(api.llama_token_data))
        self._array = api.llama_token_data_array(first, count, -1, False)
        self.pointer = ctypes.pointer(self._array)

    def fill(self, logits: Any) -> None:
        """Copy the logits, a `float*` to `(n_vocab,)` values in token order."""
        row = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self._count)).contents
        self._ids[0::3] = self._all_ids
        self._floats[1::3] = memoryview(row).cast("B").cast("f")
        self._array.size, self._array.selected, self._array.sorted = self._count, -1, False

    @property
    def selected(self) -> int:
        """Return the token that the chain selected."""
        return int(self._rows[self._array.selected].id)

    def left(self, token: int, alternatives: int) -> SampledToken:
        """Return log probabilities of what samplers have left: of `token` and the likeliest."""
        rows = [(int(row.id), float(row.p)) for row in self._rows[: self._array.size] if row.p > 0]
        rows = rows or [(token, 1.0)]  # the likeliest was taken, and none computed
        rows.sort(key=lambda row: -row[1])
        own = dict(rows).get(token, 0.0)
        others = (Logprob(one, math.log(p)) for one, p in rows[:alternatives])
        return SampledToken(token, _log_or_minus_inf(own), tuple(others))

    def logprobs(self, token: int, alternatives: int) -> SampledToken:
        """Return log probabilities of `token` and the most probable tokens; reorders the array."""
        # The dist sampler computes the softmax; top-k then sorts.
        for part, after in (
            (api.llama_sampler_init_dist(0), False),
            (api.llama_sampler_init_top_k(max(alternatives, 1)), True),
        ):
            if after:
                own = Logprob(token, _log_or_minus_inf(self._rows[token].p))
            api.llama_sampler_apply(part, self.pointer)
            api.llama_sampler_free(part)
        others = (self._rows[place] for place in range(min(alternatives, self._array.size)))
        return SampledToken(
            own.token,
            own.logprob,
            tuple(Logprob(int(row.id), _log_or_minus_inf(row.p)) for row in others),
        )


def _log_or_minus_inf(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


def form_of(options: Options) -> AnswerForm | None:
    """Return the form that the options ask for, None for any."""
    if options.json_schema:
        if options.grammar:
            raise UsageError("an answer can follow a grammar or a JSON schema, not both")
        return AnswerForm(schemas.prepared(options.json_schema).grammar)
    return AnswerForm(options.grammar) if options.grammar else None
