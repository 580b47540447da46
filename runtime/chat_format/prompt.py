"""The prompt of a conversation: its text by the chat template, and the tokens of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.chat_format.chat_template import Message, Template
from runtime.chat_format.reasoning import Markers

END = 64
"""Characters of a prompt's end that may tell how the answer begins: within reasoning, or not."""


class Tokenizer(Protocol):
    """The part of a model that a prompt needs."""

    @property
    def bos(self) -> str: ...
    @property
    def adds_bos(self) -> bool: ...
    def tokenize(self, text: str, *, beginning: bool) -> list[int]: ...


@dataclass(frozen=True)
class Prompt:
    """What a model is shown, up to where its answer begins or goes on."""

    messages: Sequence[Message]
    text: str = ""
    """As the chat template renders it; empty for a remote server, which does that itself."""
    tokens: Sequence[int] = ()
    """Of `text`."""

    @property
    def end(self) -> str:
        """Return the end of the text: the template may have begun the answer's reasoning there."""
        return self.text[-END:]


def messages_of(system: str, turns: Sequence[Message]) -> list[Message]:
    """Return the messages of a conversation; an empty system prompt is none."""
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
    """Return the prompt of `messages`, with the `answer` so far.

    `tools` and `variables` are for the template. With `end_reasoning` the model has no turn to
    reason: where the template begins that at the prompt's end, it is ended there by these markers.
    Raise ModelError where the template refuses.
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
