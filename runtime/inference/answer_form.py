"""Answer form: the grammar of an answer, when it applies, and how long the reasoning may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Trigger:
    """What makes a lazy grammar apply: from its first character on, the answer must follow it.

    Words are texts, patterns are regular expressions; the first group of a pattern is where the
    grammar begins. A full pattern must match the whole answer so far.
    """

    kind: Literal["word", "pattern", "pattern_full"]
    value: str


@dataclass(frozen=True)
class AnswerForm:
    """The form of an answer, as llama.cpp's `common_chat_params` describe it."""

    grammar: str = ""
    """In GBNF; empty for none."""
    lazy: bool = False
    """Whether the grammar applies only from a trigger on."""
    triggers: tuple[Trigger, ...] = ()
    prompt_end: str = ""
    """The end of the prompt, from where the template begins the answer."""
    covers_prompt_end: bool = False
    """Whether the grammar begins with `prompt_end`."""
    shown_tokens: tuple[str, ...] = ()
    """Special tokens that are part of the answer's text."""
    reasoning_start: str = ""
    """The text that begins the reasoning; empty if the model does not reason."""
    reasoning_ends: tuple[str, ...] = ()
    """The texts that end it; the first is used to end it early."""
    reasoning_budget: int = -1
    """Most tokens of reasoning; -1 for no limit."""
