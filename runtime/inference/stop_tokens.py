"""Stop tokens: which tokens end an answer by their ids, and which though the end is ignored."""

from __future__ import annotations

from runtime.errors import UsageError
from runtime.model.model import Model
from runtime.options.registry import Options


def stop_tokens(model: Model, options: Options) -> frozenset[int]:
    """Return the tokens of `--stop-token-id`; raise UsageError if one is not in the vocabulary."""
    return frozenset(_token(model, text) for text in options.stop_token_ids)


def ignored_ends(model: Model, options: Options) -> list[int]:
    """Return the end tokens that `--ignore-eos` bans: all that are not asked for as a stop."""
    if not options.ignore_eos:
        return []
    stops = stop_tokens(model, options)
    return [
        token
        for token in model.end_tokens
        if token not in stops and not any(model.spelled(token) in stop for stop in options.stop)
    ]


def _token(model: Model, text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()) or int(digits) >= model.vocab_size:
        raise UsageError(
            f"the stop token '{text}' is not a token below {model.vocab_size}",
            hint="name it by its id, for example 2; POST /tokenize of a server tells the ids of a "
            "text",
        )
    return int(digits)
