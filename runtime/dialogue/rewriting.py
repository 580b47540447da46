"""Rewriting: a question that only makes sense in its conversation, made whole by the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from runtime.chat_format.chat_template import Message
from runtime.chat_format.prompt import messages_of
from runtime.dialogue.answerer import LocalAnswerer
from runtime.errors import AppError
from runtime.options.registry import Options

CAPABLE = 1_000_000_000
"""Parameters from which on models rewrite questions rather than answer them."""
LONGEST = 96
"""Tokens of a rewritten question; what has more is none."""
TASK = (
    "Rewrite the following question so that it can be understood without our conversation: put "
    "names in place of words such as it, there or then. Keep its language. Do not answer it; write "
    "the rewritten question only.\n\n"
)


class Rewriter:
    """Asks the model that answers for a whole question."""

    def __init__(self, answerer: LocalAnswerer, options: Options) -> None:
        """Take what answers, and the options of its answers."""
        self._answerer = answerer
        self._system = options.system
        self._options = dataclasses.replace(
            options.without_constraints(), n_predict=LONGEST, temp=0.0, think=False
        )

    def __call__(
        self, turns: Sequence[Message], cancelled: Callable[[], bool] = lambda: False
    ) -> str | None:
        """Return the question that the last of the turns is, as a whole one.

        Return None if that fails, or is `cancelled` meanwhile.

        It is asked as one more turn of the same conversation, whose state in the engine thus stays
        of use.
        """
        asked = {"role": "user", "content": TASK + str(turns[-1]["content"])}
        messages: list[Message] = [*turns[:-1], asked]
        has_system = any(one["role"] in ("system", "developer") for one in messages)
        messages = messages_of("" if has_system else self._system, messages)
        written = ""
        try:
            prompt = self._answerer.prompt(messages, self._options)
            reader = prompt.reader()
            for piece in self._answerer.submit(prompt, self._options):
                if cancelled():
                    return None
                written += reader.feed(piece.text, last=False).content
            return written + reader.feed("", last=True).content
        except AppError:  # the conversation is too long, or all is busy: words have to do
            return None
