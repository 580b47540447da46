"""A conversation: its turns, its prompt, and what to drop when the context is full."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from runtime.dialogue.chat_template import Message, Template
from runtime.dialogue.prompt import Tokenizer, build_prompt
from runtime.errors import AppError, ModelError
from runtime.inference.stats import Stats
from runtime.inference.token_stream import Answer
from runtime.options.registry import Options

RESERVE = 256
"""Tokens kept free for an answer: at most a quarter of the context, and what it may have."""


class Generator(Protocol):
    """The part of an engine that a conversation needs."""

    context_size: int

    def submit(self, prompt: Sequence[int], options: Options | None = None) -> Answer: ...


class Dialogue:
    """Questions and answers so far, whoever answers."""

    def __init__(self, options: Options, *, context_size: int) -> None:
        self.options = options
        self.system = options.system
        self.turns: list[Message] = []
        self.stats = Stats(context_size=context_size)
        """What the last answer cost."""
        self.opening = ""
        """The end of what the model was shown, where the answer begins."""
        self._said = ""
        """What has come of the answer."""
        self._running: Answer | None = None
        self._cancelled = False

    def ask(self, text: str) -> Iterator[str]:
        """Yield the answer to `text` and remember both; a cancelled answer counts as far as it got.

        Raise ModelError when the question alone is too long for the context, or the engine
        fails; the conversation is then as it was before.
        """
        before = list(self.turns)
        self.turns.append({"role": "user", "content": text})
        yield from self._answer(before)

    def regenerate(self) -> Iterator[str]:
        """Yield another answer to the last question."""
        if not self.turns:
            raise ModelError("there is nothing to answer again", hint="ask something first")
        before = list(self.turns)
        if self.turns[-1]["role"] == "assistant":
            self.turns.pop()
        yield from self._answer(before)

    def undo(self) -> str:
        """Forget the last question and its answer; return the question, empty if none."""
        while self.turns:
            turn = self.turns.pop()
            if turn["role"] == "user":
                return str(turn["content"])
        return ""

    def clear(self) -> None:
        """Forget all turns; the system prompt stays."""
        self.turns.clear()

    def messages(self) -> list[Message]:
        """Return what templates and servers are given: the system prompt, if any, and the turns."""
        return messages_of(self.system, self.turns)

    def cancel(self) -> None:
        """End the running answer within one step; safe from any thread or signal handler."""
        self._cancelled = True
        running = self._running
        if running is not None:
            running.cancel()

    def _answer(self, before: list[Message]) -> Iterator[str]:
        """Yield the assistant's turn and append it; on failure the turns are `before` again."""
        self._said = ""
        failed = self._cancelled = False
        try:
            yield from self._texts()
        except AppError:
            failed = True
            raise
        finally:
            self._running = None
            # An abandoned answer counts as far as it got, even if that is nowhere: many
            # templates insist that questions and answers alternate.
            if failed:
                self.turns[:] = before
            else:
                self.turns.append({"role": "assistant", "content": self._said})

    def _texts(self) -> Iterator[str]:
        """Yield the answer to the turns so far, and set what it costs."""
        raise NotImplementedError

    def _follow(self, running: Answer) -> Iterator[str]:
        """Yield and keep what comes of `running`; `cancel` ends it from now on."""
        self._running = running
        if self._cancelled:  # meanwhile: it was not there yet to be told
            running.cancel()
        for piece in running:
            self._said += piece.text
            yield piece.text


class Conversation(Dialogue):
    """The turns so far over one engine."""

    def __init__(
        self,
        engine: Generator,
        tokenizer: Tokenizer,
        template: Template,
        options: Options,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`notify` gets a sentence whenever turns are dropped or an answer is cut."""
        super().__init__(options, context_size=engine.context_size)
        self.engine = engine
        self.tokenizer = tokenizer
        self.template = template
        self._notify = notify

    def prompt(self) -> list[int]:
        """Return the tokens of all turns so far, up to where the next answer would begin."""
        return self._prompt("")

    def _texts(self) -> Iterator[str]:
        """Yield the answer, dropping the oldest turns whenever room runs out."""
        self.stats = total = Stats(context_size=self.engine.context_size)
        while True:
            left = self.options.n_predict
            if left >= 0:
                left = max(0, left - total.generated_tokens)
            prompt = self._fitting(self._said, left)
            begin = len(self._said)
            running = self.engine.submit(prompt, dataclasses.replace(self.options, n_predict=left))
            try:
                yield from self._follow(running)
            finally:
                total.add(running.stats)
            full = total.reason == "context"
            # Going on needs room, and room needs an older turn to drop.
            if not full or len(self._said) == begin or not self._droppable:
                if full:
                    self._notify(
                        f"the answer was cut: the context of {self.engine.context_size} "
                        "tokens is full (give more with -c)"
                    )
                return

    def _fitting(self, answer: str, left: int) -> list[int]:
        """Return the prompt's tokens, with as few of the oldest turns dropped as leave room.

        The answer may yet have `left` tokens, -1 for any number.
        """
        reserve = min(RESERVE, self.engine.context_size // 4)
        if left >= 0:
            reserve = min(reserve, max(left, 1))
        prompt = self._prompt(answer)
        dropped = 0
        while len(prompt) > self.engine.context_size - reserve and self._droppable:
            dropped += self._droppable
            del self.turns[: self._droppable]
            prompt = self._prompt(answer)
        if dropped:
            turns = "turn was" if dropped == 1 else f"{dropped} turns were"
            self._notify(
                f"context full: the oldest {turns} dropped{', going on' if answer else ''}"
            )
        return prompt

    @property
    def _droppable(self) -> int:
        """Return how many turns the oldest question and its answer are; 0 if it is the last."""
        users = [i for i, turn in enumerate(self.turns) if turn["role"] == "user"]
        return users[1] if len(users) > 1 else 0

    def _prompt(self, answer: str) -> list[int]:
        found = build_prompt(self.template, self.tokenizer, self.messages(), answer=answer)
        self.opening = found.opening
        return found.tokens


def messages_of(system: str, turns: Sequence[Message]) -> list[Message]:
    """Return the messages of a conversation; an empty system prompt is none."""
    return [{"role": "system", "content": system}, *turns] if system else [*turns]
