"""Request for answers, independent of protocols: each protocol translates into this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.inference.answer_form import AnswerForm
from runtime.inference.manner import PLAIN, Manner
from runtime.options.registry import Options

TextOrTokens = str | Sequence[str | int | Sequence[int]]
"""A text, several texts, the tokens of one, or lists of tokens."""


def prompt_count(given: TextOrTokens) -> int:
    """Return how many prompts there are, told by the first item: there may be very many."""
    several = not isinstance(given, str) and len(given) and not isinstance(given[0], int)
    return len(given) if several else 1


@dataclass(frozen=True, kw_only=True)
class AnswerRequest:
    """Prompts to answer, all with the same options."""

    prompts: Sequence[Sequence[int]]
    """The tokens of each."""
    options: Options
    """How to choose the tokens of the answers, how many there may be, and where to stop."""
    form: AnswerForm | None = None
    """The form of the answers; None for that of the options' grammar or JSON schema."""
    count: int = 1
    """Answers to each prompt; those to the first come first."""
    alternatives: int | None = None
    """How many likeliest tokens to tell beside each one chosen; None for no log-probabilities."""
    manner: Manner = PLAIN
    """How they are generated beside all that."""
