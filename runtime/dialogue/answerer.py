"""Answerer: the interface to what answers a conversation, the local model or a remote server."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from runtime.chat_format.chat_template import Message, Template, TemplateInputs
from runtime.chat_format.prompt import Prompt, Tokenizer, build_prompt
from runtime.chat_format.turn_marks import turn_marks
from runtime.inference.answer_form import AnswerForm
from runtime.inference.token_stream import Answer
from runtime.json_schema import schemas
from runtime.model.model import Model
from runtime.options.registry import Options


class Answerer(Protocol):
    """Answers prompts, one at a time."""

    @property
    def context_size(self) -> int:
        """Return the context size in tokens, for prompt and answer together; 0 if unknown."""

    def prompt(self, messages: Sequence[Message], options: Options, answer: str = "") -> Prompt:
        """Return the prompt for `messages`; `answer` is the start of an answer to continue."""

    def submit(self, prompt: Prompt, options: Options) -> Answer:
        """Start to answer; raise AppError if that is not possible."""


class Generator(Protocol):
    """The part of a scheduler that an answerer uses."""

    context_size: int

    def submit(
        self,
        prompt: Sequence[int],
        options: Options | None = None,
        *,
        form: AnswerForm | None = None,
    ) -> Answer: ...


class LocalAnswerer:
    """Answers with the local model: chat template, tokenizer and scheduler."""

    def __init__(self, scheduler: Generator, tokenizer: Tokenizer, template: Template) -> None:
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._template = template

    @property
    def context_size(self) -> int:
        return self._scheduler.context_size

    def prompt(self, messages: Sequence[Message], options: Options, answer: str = "") -> Prompt:
        inputs = inputs_of(messages, options)
        return build_prompt(self._template, self._tokenizer, inputs, answer=answer)

    def submit(self, prompt: Prompt, options: Options) -> Answer:
        options = dataclasses.replace(options, stop=(*options.stop, *prompt.stops))
        return self._scheduler.submit(prompt.tokens, options, form=prompt.form)


class StrangersReader:
    """Reads strangers' text for a model: where it would be taken for turns of a conversation."""

    def __init__(self, model: Model, template: Template) -> None:
        self._model = model
        self._marks = turn_marks(template)

    def tokenize(self, text: str, *, beginning: bool) -> list[int]:
        """Return the tokens of `text`."""
        return self._model.tokenize(text, beginning=beginning)

    def signs(self, text: str) -> list[str]:
        """Return the parts of `text` that begin or end a turn, or mean something else by itself."""
        marks = (mark for mark in self._marks if mark in text)
        return sorted({*self._model.signs(text), *marks})


def inputs_of(messages: Sequence[Message], options: Options) -> TemplateInputs:
    """Return what the chat template is applied to for an answer with these options."""
    schema = schemas.prepared(options.json_schema) if options.json_schema else None
    return TemplateInputs(
        messages=messages,
        json_schema=schema.written if schema else None,
        grammar=options.grammar,
        enable_thinking=options.think,
        reasoning_budget=options.reasoning_budget,
    )
