"""Answers that follow a schema, or call tools: where both are given, a model may do either.

llama.cpp's grammar for the one leaves no room for the other. The two are put together here, and
the answer is read as one without a schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from runtime.chat_format.chat_template import FormattedPrompt
from runtime.chat_format.grammar_text import ROOT, WORD, rules_of, text_of

ANSWER = '("```json" space response-format space "```" | space response-format space)'
"""How the answer stands in the root of llama.cpp's grammars for most templates."""
LAST_RULE = re.compile(r"[A-Za-z][A-Za-z0-9-]*$", re.A)
OF_CALLS = "or-"


def either(
    answer: FormattedPrompt, called: FormattedPrompt, free: FormattedPrompt
) -> FormattedPrompt:
    """Return the prompt for what is an `answer` by its schema or as in `called`.

    `called` is the prompt where tools must be called, `free` the one for any answer or call. Where
    a template has another form, only answers are allowed.
    """
    if answer.form is None or called.form is None:
        return answer
    rules, calls = rules_of(answer.form.grammar), rules_of(called.form.grammar)
    last = LAST_RULE.search(calls.get(ROOT, ""))
    if last is None or last[0] not in calls:
        return answer
    begin, found, end = rules.get(ROOT, "").partition(ANSWER)
    if found:
        rules[ROOT] = f"{begin}(space response-format space | {OF_CALLS}{last[0]}){end}"
    elif rules and not answer.form.covers_prompt_end:  # a grammar of the answer and nothing else
        rules[ROOT] = f"({rules[ROOT]}) | {OF_CALLS}{last[0]}"
    else:
        return answer
    del calls[ROOT]
    rules.update(_renamed(calls))
    form = replace(
        answer.form,
        grammar=text_of(rules),
        shown_tokens=tuple(dict.fromkeys((*answer.form.shown_tokens, *called.form.shown_tokens))),
    )
    return replace(answer, form=form, reader=free.reader)


def holds(answer: FormattedPrompt) -> bool:
    """Return whether a prompt holds its answer to a schema: some templates' do not, with tools."""
    return answer.form is not None and "response-format" in answer.form.grammar


def _renamed(rules: Mapping[str, str]) -> dict[str, str]:
    """Return rules by names that no others have."""

    def renamed(word: re.Match[str]) -> str:
        return OF_CALLS + word[0] if word[0] in rules else word[0]

    return {OF_CALLS + name: WORD.sub(renamed, rule) for name, rule in rules.items()}
