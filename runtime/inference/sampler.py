"""Sampler: chooses the next token by llama.cpp's sampler chain, with optional grammar."""

from __future__ import annotations

import array
import ctypes
import math
import re
from collections.abc import Sequence
from typing import Any

from runtime.errors import ModelError, UsageError
from runtime.inference.answer_form import AnswerForm, FormSampler
from runtime.inference.stops import ignored_ends
from runtime.inference.token_stream import Logprob, SampledToken
from runtime.json_schema import schemas
from runtime.model.llama_api import api
from runtime.model.model import Model
from runtime.options.registry import Options

MIN_KEEP = 1
MIROSTAT_M = 100  # llama.cpp's default: candidates by which mirostat 1 estimates the distribution
BIAS = re.compile(r"(\d{1,10})([+-](?:\d+(?:\.\d*)?|inf))")


class Sampler:
    """The sampler chain of one answer, with the token history for its penalties."""

    def __init__(
        self,
        model: Model,
        options: Options,
        context_size: int,
        prompt: Sequence[int],
        form: AnswerForm | None = None,
    ) -> None:
        """Build the chain; the end of `prompt` counts as history for the repetition penalties.

        The answer has the `form` given, or else that of the options' grammar or JSON schema. Raise
        AppError if a grammar, a JSON schema or a logit bias is invalid.
        """
        self._candidates: _Candidates | None = None
        self._vocab_size = model.vocab_size
        biases = _biases(model, options)
        form = form or _form(options)
        self._form = FormSampler(model, form) if form else None
        self._chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        for part in _samplers(model, options, context_size, biases):
            api.llama_sampler_chain_add(self._chain, part)
        for token in prompt[len(prompt) - _history_length(options, context_size, len(prompt)) :]:
            api.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        """Free everything in the engine."""
        api.llama_sampler_free(self._chain)
        self._chain = None
        if self._form:
            self._form.close()

    def sample(self, context: Any, index: int) -> int:
        """Return the next token, from the logits at batch index `index` of the `llama_context*`.

        Raise ModelError if the logits are NaN, UsageError if the grammar allows no token.
        """
        logits = api.llama_get_logits_ith(context, index)
        if math.isnan(logits[0]):
            raise ModelError(
                "the model computed something that is not a number",
                hint="the file may be damaged (verify it), or this CPU variant be wrong: --cpu x64",
            )
        if self._form is None:
            return int(api.llama_sampler_sample(self._chain, context, index))
        if self._form.restricts:
            token = self._restricted(self._form, logits)
            api.llama_sampler_accept(self._chain, token)
        else:
            token = int(api.llama_sampler_sample(self._chain, context, index))
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

        They are the model's own, computed from the logits before any sampler.
        """
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


def _form(options: Options) -> AnswerForm | None:
    """Return the form that the options ask for, None for any."""
    if options.json_schema:
        if options.grammar:
            raise UsageError("an answer can follow a grammar or a JSON schema, not both")
        return AnswerForm(schemas.prepared(options.json_schema).grammar)
    return AnswerForm(options.grammar) if options.grammar else None


def _biases(model: Model, options: Options) -> list[Any]:
    """Return the logit biases of `--logit-bias`, `--ignore-eos` and the suppressed tokens."""
    result = []
    for text in options.logit_bias:
        match = BIAS.fullmatch(text.strip())
        if not match or int(match[1]) >= model.vocab_size:
            raise UsageError(
                f"the logit bias '{text}' is not a token below {model.vocab_size} and a number",
                hint="for example 15043+1, 15043-2.5 or 15043-inf",
            )
        result.append(api.llama_logit_bias(int(match[1]), float(match[2])))
    never = [*model.suppressed, *ignored_ends(model, options)]
    return result + [api.llama_logit_bias(token, -math.inf) for token in never]


def _samplers(model: Model, options: Options, context_size: int, biases: list[Any]) -> list[Any]:
    """Return the samplers in llama.cpp's order, without those that have no effect."""
    parts = []
    if biases:
        rows = (api.llama_logit_bias * len(biases))(*biases)
        parts.append(api.llama_sampler_init_logit_bias(model.vocab_size, len(biases), rows))
    seed = options.seed if options.seed >= 0 else api.LLAMA_DEFAULT_SEED
    if options.mirostat:
        parts.append(api.llama_sampler_init_temp(options.temp))
        aim, rate = options.mirostat_ent, options.mirostat_lr
        if options.mirostat == 1:
            parts.append(
                api.llama_sampler_init_mirostat(model.vocab_size, seed, aim, rate, MIROSTAT_M)
            )
        else:
            parts.append(api.llama_sampler_init_mirostat_v2(seed, aim, rate))
        return parts
    if _uses_penalties(options):
        parts.append(
            api.llama_sampler_init_penalties(
                model.vocab_size,
                _window(options.repeat_last_n, context_size),
                options.repeat_penalty,
                options.frequency_penalty,
                options.presence_penalty,
            )
        )
    if options.dry_multiplier:
        parts.append(_dry(model, options, context_size))
    xtc = options.xtc_probability > 0 and options.xtc_threshold <= 0.5
    if options.temp <= 0 and options.typical_p >= 1 and not xtc:
        # Greedy: the remaining samplers never remove the most probable token.
        return [*parts, api.llama_sampler_init_greedy()]
    if options.top_k > 0:
        parts.append(api.llama_sampler_init_top_k(options.top_k))
    if options.typical_p < 1:
        parts.append(api.llama_sampler_init_typical(options.typical_p, MIN_KEEP))
    if options.top_p < 1:
        parts.append(api.llama_sampler_init_top_p(options.top_p, MIN_KEEP))
    if options.min_p > 0:
        parts.append(api.llama_sampler_init_min_p(options.min_p, MIN_KEEP))
    if xtc:
        parts.append(
            api.llama_sampler_init_xtc(
                options.xtc_probability, options.xtc_threshold, MIN_KEEP, seed
            )
        )
    parts.append(
        api.llama_sampler_init_temp_ext(options.temp, options.dynatemp_range, options.dynatemp_exp)
    )
    parts.append(api.llama_sampler_init_dist(seed))
    return parts


def _dry(model: Model, options: Options, context_size: int) -> Any:
    texts = [text for text in options.dry_sequence_breaker if text != "none"]
    breakers = [text.replace("\\n", "\n").replace("\\t", "\t").encode() for text in texts]
    return api.llama_sampler_init_dry(
        model.vocabulary,
        options.dry_multiplier,
        options.dry_base,
        options.dry_allowed_length,
        _window(options.dry_penalty_last_n, context_size),
        (ctypes.c_char_p * len(breakers))(*breakers),
        len(breakers),
    )


def _uses_penalties(options: Options) -> bool:
    return (options.repeat_penalty, options.presence_penalty, options.frequency_penalty) != (
        1.0,
        0.0,
        0.0,
    )


def _window(last_n: int, context_size: int) -> int:
    """Return the number of tokens penalised; for the engine itself -1 does not mean all.

    The engine sets aside room for each, so that there are no more than there ever can be.
    """
    return context_size if last_n < 0 else min(last_n, context_size)


def _history_length(options: Options, context_size: int, length: int) -> int:
    """Return how many tokens of the prompt's end the chain needs as history."""
    wanted = 0
    if _uses_penalties(options):
        wanted = _window(options.repeat_last_n, context_size)
    if options.dry_multiplier:
        wanted = max(wanted, _window(options.dry_penalty_last_n, context_size))
    return 0 if options.mirostat else min(wanted, length)
