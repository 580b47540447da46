"""Turn marks: what a chat template writes around turns, as far as it is known by its form.

Where such a mark is no token of its own, a stranger's text that spells it looks like a turn.
"""

from __future__ import annotations

import re

from runtime.chat_format.chat_template import Template, TemplateInputs
from runtime.errors import ModelError

SAMPLE = "qwertz"
"""Stands for all that is said."""
TAG = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Za-z_]{2,30}\]")
"""Such as <|user|>, </s> or [INST]."""
LABEL = re.compile(r"[^\w\s]*\s*\w[^:\n]{0,40}:")
"""A line such as `### Instruction:` or `USER:`."""


def turn_marks(template: Template) -> frozenset[str]:
    """Return the marks that a template writes; none if it writes no conversation."""
    said = [{"role": role, "content": SAMPLE} for role in ("system", "user", "assistant", "user")]
    found: set[str] = set()
    for messages in (said, said[1:]):  # some take no system prompt
        try:
            text = template.apply(TemplateInputs(messages=messages)).text
        except ModelError:
            continue
        for part in text.split(SAMPLE):
            found.update(TAG.findall(part))
            lines = (line.strip() for line in TAG.sub("\n", part).splitlines())
            found.update(line for line in lines if LABEL.fullmatch(line))
    return frozenset(found)
