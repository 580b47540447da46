"""Sampler chain: llama.cpp's samplers in the order that the options give, and their history."""

from __future__ import annotations

import ctypes
import math
import re
from typing import Any

from runtime.errors import UsageError
from runtime.inference.stops import ignored_ends
from runtime.model.llama_api import api
from runtime.model.model import Model
from runtime.options.registry import Options
from runtime.options.sampling import SAMPLERS

MIN_KEEP = 1
MIROSTAT_M = 100  # llama.cpp's default: candidates by which mirostat 1 estimates the distribution
SPELLINGS = {name.replace("_", ""): name for name in (*SAMPLERS.split(";"), "infill")} | {
    "nucleus": "top_p",
    "temp": "temperature",
    "typ": "typ_p",
    "typicalp": "typ_p",
}
"""Names of samplers by how they are written, without hyphens and underscores."""
BIAS = re.compile(r"(\d{1,10})([+-](?:\d+(?:\.\d*)?|inf))")


def biases_of(model: Model, options: Options) -> list[Any]:
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


def samplers(model: Model, options: Options, context_size: int, biases: list[Any]) -> list[Any]:
    """Return the samplers of the chain, without those that have no effect.

    Raise UsageError if the options name one that there is not.
    """
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
    names = order_of(options.samplers)
    if ";".join(names) == SAMPLERS and _is_greedy(options):
        names = names[:2]  # the others never remove the most probable token
        last = api.llama_sampler_init_greedy()
    else:
        last = api.llama_sampler_init_dist(seed)
    for name in names:
        if part := _sampler(name, model, options, context_size, seed):
            parts.append(part)
    return [*parts, last]


def order_of(text: str) -> list[str]:
    """Return the names of the samplers of `--samplers`; raise UsageError if one is unknown."""
    found = []
    for name in filter(None, (word.strip() for word in text.split(";"))):
        known = SPELLINGS.get(name.lower().replace("-", "_").replace("_", ""))
        if known is None:
            raise UsageError(
                f"there is no sampler '{name}'", hint=f"the samplers: {SAMPLERS};infill"
            )
        found.append(known)
    return found


def _is_greedy(options: Options) -> bool:
    return options.temp <= 0 and options.typical_p >= 1 and not _uses_xtc(options)


def _uses_xtc(options: Options) -> bool:
    return options.xtc_probability > 0 and options.xtc_threshold <= 0.5


def _sampler(name: str, model: Model, options: Options, context_size: int, seed: int) -> Any:
    """Return a `llama_sampler*`, None if it has no effect."""
    if name == "penalties":
        return _uses_penalties(options) and api.llama_sampler_init_penalties(
            model.vocab_size,
            _window(options.repeat_last_n, context_size),
            options.repeat_penalty,
            options.frequency_penalty,
            options.presence_penalty,
        )
    if name == "dry":
        return options.dry_multiplier and _dry(model, options, context_size)
    if name == "top_n_sigma":
        return options.top_n_sigma > 0 and api.llama_sampler_init_top_n_sigma(options.top_n_sigma)
    if name == "top_k":
        return options.top_k > 0 and api.llama_sampler_init_top_k(options.top_k)
    if name == "typ_p":
        typical = options.typical_p
        return typical < 1 and api.llama_sampler_init_typical(typical, MIN_KEEP)
    if name == "top_p":
        return options.top_p < 1 and api.llama_sampler_init_top_p(options.top_p, MIN_KEEP)
    if name == "min_p":
        return options.min_p > 0 and api.llama_sampler_init_min_p(options.min_p, MIN_KEEP)
    if name == "xtc":
        return _uses_xtc(options) and api.llama_sampler_init_xtc(
            options.xtc_probability, options.xtc_threshold, MIN_KEEP, seed
        )
    if name == "infill":
        return api.llama_sampler_init_infill(model.vocabulary)
    return api.llama_sampler_init_temp_ext(
        options.temp, options.dynatemp_range, options.dynatemp_exp
    )


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


def history_length(options: Options, context_size: int, length: int) -> int:
    """Return how many tokens of the prompt's end the chain needs as history."""
    wanted = 0
    if _uses_penalties(options):
        wanted = _window(options.repeat_last_n, context_size)
    if options.dry_multiplier:
        wanted = max(wanted, _window(options.dry_penalty_last_n, context_size))
    return 0 if options.mirostat else min(wanted, length)
