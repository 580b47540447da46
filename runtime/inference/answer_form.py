"""Answer form: the grammar of an answer, when it applies, and how long the reasoning may be.

The sampler that holds an answer to it works as llama.cpp's common/sampling.cpp does.
"""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from runtime.errors import UsageError
from runtime.model import libchat
from runtime.model.llama_api import api
from runtime.model.model import Model

REASON_MAX = 200
"""Characters at most of what the engine says about a grammar."""


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
    begun: str = ""
    """What of the answer is written already, which the prompt ends with."""
    shown_tokens: tuple[str, ...] = ()
    """Special tokens that are part of the answer's text."""
    reasoning_start: str = ""
    """The text that begins the reasoning; empty if the model does not reason."""
    reasoning_ends: tuple[str, ...] = ()
    """The texts that end it; the first is used to end it early."""
    reasoning_budget: int = -1
    """Most tokens of reasoning; -1 for no limit."""


class FormSampler:
    """The grammar of one answer and its reasoning budget, either or both."""

    def __init__(self, model: Model, form: AnswerForm) -> None:
        """Raise UsageError if the grammar does not parse, or the prompt's end is against it."""
        self._lazy = form.lazy
        self._budget: Any = None
        self._grammar: Any = _grammar(model, form) if form.grammar else None
        begun = _tokens_of_end(model, form.prompt_end)
        if self._grammar and form.covers_prompt_end and not form.lazy:
            for token in begun:
                if not self.allows(token):
                    self.close()
                    raise UsageError("the grammar does not begin as the chat template does")
                self._grammar_accept(token)
        if self._grammar and form.begun and not form.lazy:
            for token in model.tokenize(form.begun, beginning=False):
                self._grammar_accept(token)
        ends = [model.tokenize(text, beginning=False) for text in form.reasoning_ends if text]
        if form.reasoning_start and ends and (form.lazy or form.reasoning_budget >= 0):
            sampler = libchat.budget_sampler(
                model.vocabulary,
                start=model.tokenize(form.reasoning_start, beginning=False),
                ends=ends,
                forced=ends[0],
                budget=form.reasoning_budget,
            )
            self._budget = ctypes.cast(sampler, ctypes.POINTER(api.llama_sampler))
            for token in _tokens_of_end(model, _up_to_reasoning(form)):
                api.llama_sampler_accept(self._budget, token)

    def close(self) -> None:
        """Free both."""
        for sampler in (self._grammar, self._budget):
            if sampler:
                api.llama_sampler_free(sampler)
        self._grammar = self._budget = None

    @property
    def restricts(self) -> bool:
        """Return whether the next token is restricted."""
        return self._grammar_applies or self._reasons

    @property
    def _reasons(self) -> bool:
        return bool(self._budget) and libchat.reasons(self._budget)

    @property
    def _grammar_applies(self) -> bool:
        """A lazy grammar's triggers do not count within the reasoning."""
        return bool(self._grammar) and not (self._lazy and self._reasons)

    def allows(self, token: int) -> bool:
        """Return whether the grammar accepts `token` next."""
        if not self._grammar_applies:
            return True
        one = api.llama_token_data(token, 1.0, 0.0)
        alone = api.llama_token_data_array(ctypes.pointer(one), 1, -1, False)
        api.llama_sampler_apply(self._grammar, ctypes.pointer(alone))
        self._require_sound()
        return bool(one.logit != -math.inf)

    def limit_reasoning(self, candidates: Any) -> None:
        """Leave of the `llama_token_data_array*` only what ends the reasoning, if it is time."""
        if self._budget:
            api.llama_sampler_apply(self._budget, candidates)

    def limit_to_grammar(self, candidates: Any) -> None:
        """Leave of the `llama_token_data_array*` only what the grammar allows."""
        if self._grammar_applies:
            api.llama_sampler_apply(self._grammar, candidates)
            self._require_sound()

    def accept(self, token: int) -> None:
        """Take in the token that was chosen."""
        applied = self._grammar_applies
        if self._budget:
            before = self._reasons
            api.llama_sampler_accept(self._budget, token)
            if before and not self._reasons and self._grammar and not applied:
                # The end of the reasoning may hold a trigger.
                for ending in libchat.reasoning_end(self._budget):
                    self._grammar_accept(ending)
        if applied:
            self._grammar_accept(token)

    def _grammar_accept(self, token: int) -> None:
        if not self._grammar:
            return
        api.llama_sampler_accept(self._grammar, token)
        if self._lazy and libchat.grammar_failure(self._grammar):
            # A lazy grammar that the model did not keep to: the answer goes on without it.
            api.llama_sampler_free(self._grammar)
            self._grammar = None
        else:
            self._require_sound()

    def _require_sound(self) -> None:
        """Raise UsageError if the grammar has failed; it holds nothing from then on."""
        if failure := libchat.grammar_failure(self._grammar) if self._grammar else "":
            raise UsageError(
                f"the answer cannot be held to the grammar: {failure}",
                hint="write its rules so that a text can be read in one way only",
            )


def _grammar(model: Model, form: AnswerForm) -> Any:
    """Return the grammar's `llama_sampler*`; raise UsageError if it does not parse."""
    triggers = _triggers(model, form) if form.lazy else None
    try:
        sampler = libchat.grammar_sampler(model.vocabulary, form.grammar, triggers)
    except libchat.LibraryError as exc:
        raise UsageError(
            f"the grammar cannot be used: {str(exc)[:REASON_MAX] or 'it does not parse'}",
            hint="llama.cpp's notation: root ::= …",
        ) from exc
    return ctypes.cast(sampler, ctypes.POINTER(api.llama_sampler))


def _triggers(model: Model, form: AnswerForm) -> tuple[list[bytes], list[int]]:
    """Return the regular expressions and the tokens that make a lazy grammar apply."""
    patterns, tokens = [], []
    for trigger in form.triggers:
        if trigger.kind == "word":
            found = model.tokenize(trigger.value, beginning=False)
            if len(found) == 1:
                tokens.append(found[0])
                continue
        patterns.append(_pattern(trigger).encode())
    return patterns, tokens


def _pattern(trigger: Trigger) -> str:
    if trigger.kind == "word":
        return re.sub(r"[.^$|()*+?\[\]{}\\]", r"\\\g<0>", trigger.value)
    if trigger.kind == "pattern_full":
        pattern = trigger.value
        begin = "" if pattern.startswith("^") else "^"
        return begin + pattern + ("" if pattern.endswith("$") and pattern else "$")
    return trigger.value


def _up_to_reasoning(form: AnswerForm) -> str:
    """Return the prompt's end without the space behind what begins the reasoning, if it ends so.

    That space would count as reasoning, and with a budget of 0, as a part of what ends it.
    """
    before, start, behind = form.prompt_end.rpartition(form.reasoning_start)
    return before + start if start and not behind.strip() else form.prompt_end


def _tokens_of_end(model: Model, text: str) -> list[int]:
    """Return the tokens of the prompt's end, without the space that some tokenizers put first."""
    tokens = model.tokenize(text, beginning=False) if text else []
    if tokens and not text[0].isspace() and model.piece(tokens[0], special=True)[:1].isspace():
        return tokens[1:]
    return tokens
