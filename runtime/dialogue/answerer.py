"""Answerer: the interface to what answers a conversation, the local model or a remote server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runtime.chat_format.chat_template import Message, Template
from runtime.chat_format.prompt import Prompt, Tokenizer, build_prompt
from runtime.inference.token_stream import Answer
from runtime.options.registry import Options


class Answerer(Protocol):
    """Answers prompts, one at a time."""

    @property
    def context_size(self) -> int:
        """Return the context size in tokens, for prompt and answer together; 0 if unknown."""

    def prompt(self, messages: Sequence[Message], answer: str = "") -> Prompt:
        """Return the prompt for `messages`; `answer` is the start of an answer to continue."""

    def submit(self, prompt: Prompt, options: Options) -> Answer:
        """Start to answer; raise AppError if that is not possible."""


class Generator(Protocol):
    """The part of a scheduler that an answerer uses."""

    context_size: int

    def submit(self, prompt: Sequence[int], options: Options | None = None) -> Answer: ...


class LocalAnswerer:
    """Answers with the local model: chat template, tokenizer and scheduler."""

    def __init__(self, scheduler: Generator, tokenizer: Tokenizer, template: Template) -> None:
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._template = template

    @property
    def context_size(self) -> int:
        return self._scheduler.context_size

    def prompt(self, messages: Sequence[Message], answer: str = "") -> Prompt:
        return build_prompt(self._template, self._tokenizer, messages, answer=answer)

    def submit(self, prompt: Prompt, options: Options) -> Answer:
        return self._scheduler.submit(prompt.tokens, options)
