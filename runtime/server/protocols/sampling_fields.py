"""Sampling options in requests, by OpenAI's and llama.cpp's names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runtime import bounds
from runtime.errors import UsageError
from runtime.inference.sampler_chain import order_of
from runtime.options.registry import Options, check
from runtime.server.http.http_error import HTTPError, http_error_of

NAMES = {
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "top_n_sigma": "top_n_sigma",
    "typical_p": "typical_p",
    "dynatemp_range": "dynatemp_range",
    "dynatemp_exponent": "dynatemp_exp",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "dry_multiplier": "dry_multiplier",
    "dry_base": "dry_base",
    "dry_allowed_length": "dry_allowed_length",
    "dry_penalty_last_n": "dry_penalty_last_n",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_ent",
    "mirostat_eta": "mirostat_lr",
    "seed": "seed",
    "ignore_eos": "ignore_eos",
    "cache_prompt": "cache_prompt",
}
"""Fields that are options by another name, or the same."""

LETTERS = {
    "e": "penalties", "d": "dry", "s": "top_n_sigma", "k": "top_k", "y": "typ_p", "p": "top_p",
    "m": "min_p", "x": "xtc", "t": "temperature", "i": "infill",
}  # fmt: skip
"""llama.cpp's letters for samplers."""

Stop = Annotated[str, Meta(max_length=bounds.STOP_LENGTH)]
Stops = Annotated[list[Stop], Meta(max_length=bounds.STOPS)]
StopTokens = Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=bounds.STOPS)]
Count = Annotated[int, Meta(ge=1, le=bounds.CHOICES)]
Integer = Annotated[int, Meta(le=bounds.INTEGER)]
Limit = Annotated[int, Meta(ge=-1, le=bounds.INTEGER)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Top = Annotated[int, Meta(ge=0, le=bounds.LOGPROBS)]
Name = Annotated[str, Meta(max_length=bounds.NAME)]
Prompt = str | list[str | int | list[int]]
"""A text, texts, tokens, or several lists of tokens."""


class LoraScale(msgspec.Struct):
    """How strongly a LoRA adapter is to be applied."""

    id: Annotated[int, Meta(ge=0, le=bounds.SECTIONS)]
    scale: Annotated[float, Meta(ge=-1000, le=1000)]


Scales = Annotated[list[LoraScale], Meta(max_length=bounds.SECTIONS)]
"""Those that are not named are not applied."""


class Sampling(msgspec.Struct, kw_only=True):
    """Sampling options of a request; those not given are the server's."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    top_n_sigma: float | None = None
    typical_p: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: Stops | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    seed: Seed | None = None
    ignore_eos: bool | None = None
    cache_prompt: bool | None = None
    logit_bias: dict[str, float] | list[list[int | float | str | bool]] | None = None
    grammar: Annotated[str, Meta(max_length=bounds.GRAMMAR)] | None = None
    json_schema: dict[str, Any] | bool | None = None
    stop: Stop | Stops | None = None
    stop_token_ids: StopTokens | None = None  # as vLLM names it
    lora: Scales | None = None
    id_slot: Annotated[int, Meta(ge=-1, le=bounds.INTEGER)] | None = None
    n_keep: Annotated[int, Meta(ge=-1, le=bounds.INTEGER)] | None = None  # contexts are not shifted
    post_sampling_probs: bool | None = None
    t_max_predict_ms: Annotated[int, Meta(ge=-1, le=bounds.INTEGER)] | None = None
    samplers: Annotated[str, Meta(max_length=bounds.NAME)] | Stops | None = None


def merged_options(
    request: Sampling,
    options: Options,
    tokenize: Callable[[str], list[int]],
    *limits: int | None,
) -> Options:
    """Return `options` overridden by the request; raise HTTPError naming an invalid field.

    The first of `limits` that is given is the maximum number of tokens of the answer.
    """
    changes: dict[str, Any] = {}
    for limit in limits:
        if limit is not None:
            changes["n_predict"] = limit
            break
    for name, option in NAMES.items():
        value = getattr(request, name)
        if value is not None:
            changes[option] = _checked(name, option, value)
    if request.dry_sequence_breakers is not None:
        changes["dry_sequence_breaker"] = tuple(request.dry_sequence_breakers)
    if request.stop is not None:
        changes["stop"] = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
    if request.stop_token_ids is not None:
        changes["stop_token_ids"] = tuple(map(str, request.stop_token_ids))
    if request.samplers is not None:
        changes["samplers"] = _samplers(request.samplers)
    if request.logit_bias:
        changes["logit_bias"] = tuple(_biases(request.logit_bias, tokenize))
    if request.grammar:
        changes |= {"grammar": _bounded(request.grammar), "json_schema": ""}
    if request.json_schema is not None and request.json_schema is not False:
        schema = {} if request.json_schema is True else request.json_schema
        if request.grammar:
            raise HTTPError(400, "give a grammar or a JSON schema, not both", param="json_schema")
        changes |= {"json_schema": msgspec.json.encode(schema).decode(), "grammar": ""}
    return dataclasses.replace(options, **changes) if changes else options


def option_fields(options: Options) -> dict[str, Any]:
    """Return the options by llama-server's names of request fields."""
    found = {name: getattr(options, option) for name, option in NAMES.items()}
    return found | {
        "dry_sequence_breakers": list(options.dry_sequence_breaker),
        "stop": list(options.stop),
        "stop_token_ids": [int(token) for token in options.stop_token_ids],
        "samplers": [*filter(None, options.samplers.split(";"))],
        "logit_bias": list(options.logit_bias),
        "grammar": options.grammar,
        "max_tokens": options.n_predict,
        "n_predict": options.n_predict,
    }


def _checked(name: str, option: str, value: Any) -> Any:
    if option == "seed":
        value = value if value == -1 else value % 2**32
    if option == "top_k":
        value = max(value, 0)  # -1 means all to some clients
    if option == "top_n_sigma":
        value = max(value, -1.0)
    if option == "repeat_last_n":
        value = max(value, -1)
    if isinstance(value, float) and not math.isfinite(value):
        raise HTTPError(400, f"'{name}' is not a finite number", param=name)
    try:
        return check(option, value, name)
    except UsageError as exc:
        raise HTTPError(400, exc.problem, param=name) from exc


def _samplers(given: str | list[str]) -> str:
    """Return the samplers as options hold them: by names, or by letters in one text."""
    names = given if isinstance(given, list) else [LETTERS.get(one, one) for one in given]
    try:
        return ";".join(order_of(";".join(names)))
    except UsageError as exc:
        raise http_error_of(exc, param="samplers") from exc


def _biases(
    given: Mapping[str, float] | list[list[Any]], tokenize: Callable[[str], list[int]]
) -> list[str]:
    """Return logit biases as options hold them; tokens may be ids or texts."""
    pairs = given.items() if isinstance(given, Mapping) else (tuple(pair) for pair in given)
    result = []
    for pair in pairs:
        if len(pair) != 2 or isinstance(pair[1], str):
            raise HTTPError(400, "'logit_bias': expected pairs of token and number",
                          param="logit_bias")  # fmt: skip
        token, bias = pair
        amount = "-inf" if bias is False else f"{float(bias):+.6f}"
        text = str(token)
        is_token = isinstance(token, str) or (type(token) is int and token >= 0)
        if not is_token or (text.isdecimal() and len(text) > bounds.TOKEN_DIGITS):
            raise HTTPError(400, "'logit_bias': there is no such token", param="logit_bias")
        tokens = [int(text)] if text.isdecimal() else tokenize(text)
        result += [f"{number}{amount}" for number in tokens]
        if len(result) > bounds.BIASES:
            raise HTTPError(
                400, f"'logit_bias': more than {bounds.BIASES} tokens", param="logit_bias"
            )
    return result


def _bounded(grammar: str) -> str:
    depth = deepest = 0
    for character in grammar:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > bounds.GRAMMAR_NESTING:
        raise HTTPError(
            400, f"'grammar' nests deeper than {bounds.GRAMMAR_NESTING}", param="grammar"
        )
    return grammar
