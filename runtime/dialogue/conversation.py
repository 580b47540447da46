"""A conversation: its turns, the answer to the last one, and what to drop when the context is full.

Whoever answers, the model loaded here or a remote server, is an `Answerer`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from runtime.chat_format.chat_template import Message
from runtime.chat_format.prompt import Prompt, messages_of
from runtime.dialogue.answerer import Answerer
from runtime.errors import AppError, ModelError
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import Answer
from runtime.options.registry import Options

ANSWER_RESERVE = 256
"""Tokens kept free for an answer: at most a quarter of the context, and what it may have."""


class Conversation:
    """Questions and answers so far."""

    def __init__(
        self,
        answerer: Answerer,
        options: Options,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`notify` gets a sentence whenever turns are dropped or an answer is cut."""
        self.options = options
        self.system = options.system
        self.turns: list[Message] = []
        self.stats = Stats(context_size=answerer.context_size)
        """What the last answer cost."""
        self.prompt_end = ""
        """The last characters of what the model was shown, where the answer begins."""
        self._answerer = answerer
        self._notify = notify
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

    def prompt(self) -> Prompt:
        """Return all turns so far, up to where the next answer would begin."""
        return self._prompt("")

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
        """Yield the answer, dropping the oldest turns whenever room runs out."""
        self.stats = total = Stats(context_size=self._answerer.context_size)
        while True:
            left = self.options.n_predict
            if left >= 0:
                left = max(0, left - total.generated_tokens)
            prompt = self._fitting(self._said, left)
            begin = len(self._said)
            options = dataclasses.replace(self.options, n_predict=left)
            running = self._answerer.submit(prompt, options)
            try:
                yield from self._follow(running)
            finally:
                total.add(running.stats)
            full = total.reason is FinishReason.CONTEXT
            # Going on needs room, and room needs an older turn to drop.
            if not full or len(self._said) == begin or not self._droppable:
                if full:
                    self._notify(
                        f"the answer was cut: the context of {self._answerer.context_size} "
                        "tokens is full (give more with -c)"
                    )
                return

    def _follow(self, running: Answer) -> Iterator[str]:
        """Yield and keep what comes of `running`; `cancel` ends it from now on."""
        self._running = running
        if self._cancelled:  # meanwhile: it was not there yet to be told
            running.cancel()
        for piece in running:
            self._said += piece.text
            yield piece.text

    def _fitting(self, answer: str, left: int) -> Prompt:
        """Return the prompt, with as few of the oldest turns dropped as leave room.

        The answer may yet have `left` tokens, -1 for any number.
        """
        size = self._answerer.context_size
        prompt = self._prompt(answer)
        if not size:
            return prompt
        reserve = min(ANSWER_RESERVE, size // 4)
        if left >= 0:
            reserve = min(reserve, max(left, 1))
        dropped = 0
        while len(prompt.tokens) > size - reserve and self._droppable:
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

    def _prompt(self, answer: str) -> Prompt:
        prompt = self._answerer.prompt(messages_of(self.system, self.turns), answer)
        self.prompt_end = prompt.end
        return prompt
