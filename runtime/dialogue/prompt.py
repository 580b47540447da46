"""Prompt of a conversation: messages to text by the chat template, text to token IDs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runtime.dialogue.chat_template import Message, Template


class Tokenizer(Protocol):
    """The part of a model that tokenizes text."""

    @property
    def bos(self) -> str: ...
    @property
    def adds_bos(self) -> bool: ...
    def tokenize(self, text: str, *, beginning: bool) -> list[int]: ...


def messages_of(system: str, turns: Sequence[Message]) -> list[Message]:
    """Return the messages of a conversation; an empty system prompt adds none."""
    return [{"role": "system", "content": system}, *turns] if system else [*turns]


def tokens_of(
    template: Template, tokenizer: Tokenizer, messages: Sequence[Message], answer: str = ""
) -> tuple[str, list[int]]:
    """Return text and token IDs of a prompt that ends with the `answer` so far."""
    text = template.render(messages) + answer
    return text, prompt_tokens(tokenizer, text)


def prompt_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the token IDs of rendered text, with exactly one BOS token if the model uses one."""
    if tokenizer.adds_bos and tokenizer.bos:
        # Most templates contain the BOS token that the tokenizer adds as well.
        text = text.removeprefix(tokenizer.bos)
    return tokenizer.tokenize(text, beginning=True)
