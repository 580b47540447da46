"""Prompt of a conversation: its text, rendered by the chat template, and its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.chat_format.chat_template import Message, Template
from runtime.chat_format.reasoning import Markers

END = 64
"""Characters of a prompt's end that may tell how the answer begins: within reasoning, or not."""


class Tokenizer(Protocol):
    """What a prompt needs of a model."""

    @property
    def bos(self) -> str: ...
    @property
    def adds_bos(self) -> bool: ...
    def tokenize(self, text: str, *, beginning: bool) -> list[int]: ...


@dataclass(frozen=True)
class Prompt:
    """The text and tokens of a conversation, up to where the answer begins or continues."""

    messages: Sequence[Message]
    text: str = ""
    """As the chat template renders it; empty for a remote server, which does that itself."""
    tokens: Sequence[int] = ()
    """Of `text`."""

    @property
    def end(self) -> str:
        """The end of the text: the template may begin the reasoning there."""
        return self.text[-END:]


def messages_of(system: str, turns: Sequence[Message]) -> list[Message]:
    """Return the messages of a conversation; an empty system prompt counts as none."""
    return [{"role": "system", "content": system}, *turns] if system else [*turns]


def build_prompt(
    template: Template,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    variables: Mapping[str, Any] = {},
    answer: str = "",
    end_reasoning: Markers | None = None,
) -> Prompt:
    """Return the prompt of `messages`, followed by the `answer` so far.

    `tools` and `variables` are passed to the template. With `end_reasoning` the model gets no turn
    to reason: reasoning that the template begins at the prompt's end is closed by these markers.
    Raise ModelError if the template fails.
    """
    text = template.render(messages, tools=tools, variables=variables)
    if end_reasoning and text.rstrip().endswith(end_reasoning.begin):
        text += f"{end_reasoning.end}\n\n"
    text += answer
    return Prompt(messages, text, _tokens(tokenizer, text))


def _tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    if tokenizer.adds_bos and tokenizer.bos:
        # Most templates spell out the beginning token that the tokenizer adds as well.
        text = text.removeprefix(tokenizer.bos)
    return tokenizer.tokenize(text, beginning=True)
