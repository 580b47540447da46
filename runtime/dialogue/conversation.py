"""Conversation: its turns, the answer to the last one, and which to drop if the context is full.

The answers come from an `Answerer`: the local model or a remote server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from runtime.chat_format.answer_reader import AnswerReader, Delta
from runtime.chat_format.chat_template import Message
from runtime.chat_format.prompt import Prompt, messages_of
from runtime.dialogue.answerer import Answerer
from runtime.errors import AppError, ModelError
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import Answer
from runtime.options.registry import Options

ANSWER_RESERVE = 256
"""Tokens kept free for an answer, limited to a quarter of the context and to the answer's own
limit."""


class Conversation:
    """The turns so far, and the statistics of the last answer."""

    def __init__(
        self,
        answerer: Answerer,
        options: Options,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`notify` is called with a note when turns are dropped or an answer is cut."""
        self.options = options
        self.system = options.system
        self.turns: list[Message] = []
        self.stats = Stats(context_size=answerer.context_size)
        """Statistics of the last answer."""
        self._answerer = answerer
        self._notify = notify
        self._written = ""
        """The answer so far, as the model writes it."""
        self._answer = Delta()
        """The answer so far, divided."""
        self._reader: AnswerReader | None = None
        self._running: Answer | None = None
        self._cancelled = False

    def ask(self, text: str) -> Iterator[Delta]:
        """Yield the answer to `text` as it comes, and append both to the turns.

        A cancelled answer is appended as far as it got. Raise ModelError if the question alone does
        not fit into the context, or the engine fails; the turns are then unchanged.
        """
        before = list(self.turns)
        self.turns.append({"role": "user", "content": text})
        yield from self._reply(before)

    def regenerate(self) -> Iterator[Delta]:
        """Yield a new answer to the last question; it replaces the previous one."""
        if not self.turns:
            raise ModelError("there is nothing to answer again", hint="ask something first")
        before = list(self.turns)
        if self.turns[-1]["role"] == "assistant":
            self.turns.pop()
        yield from self._reply(before)

    def undo(self) -> str:
        """Remove the last question and its answer; return the question, empty if there is none."""
        while self.turns:
            turn = self.turns.pop()
            if turn["role"] == "user":
                return str(turn["content"])
        return ""

    def clear(self) -> None:
        """Remove all turns; the system prompt stays."""
        self.turns.clear()

    def prompt(self) -> Prompt:
        """Return the prompt of all turns so far."""
        return self._prompt("")

    def cancel(self) -> None:
        """End the running answer within one decode step; safe from any thread or signal handler."""
        self._cancelled = True
        running = self._running
        if running is not None:
            running.cancel()

    def _reply(self, before: list[Message]) -> Iterator[Delta]:
        """Yield the assistant's turn and append it; on failure restore the turns `before`."""
        self._written, self._answer, self._reader = "", Delta(), None
        failed = self._cancelled = False
        try:
            yield from self._answer_in_parts()
        except AppError:
            failed = True
            raise
        finally:
            self._running = None
            # Append a cancelled answer even if it is empty: many templates require that user and
            # assistant turns alternate.
            if failed:
                self.turns[:] = before
            else:
                self.turns.append(_turn(self._answer))

    def _answer_in_parts(self) -> Iterator[Delta]:
        """Yield the answer; if the context is full, drop the oldest turns and continue it."""
        self.stats = total = Stats(context_size=self._answerer.context_size)
        while True:
            left = self.options.n_predict
            if left >= 0:
                left = max(0, left - total.generated_tokens)
            prompt = self._fitting(self._written, left)
            self._reader = reader = self._reader or prompt.reader()
            begin = len(self._written)
            options = dataclasses.replace(self.options, n_predict=left)
            running = self._answerer.submit(prompt, options)
            try:
                yield from self._stream(running, reader)
            finally:
                total.add(running.stats)
            full = total.reason is FinishReason.CONTEXT
            # Continue only if a turn can be dropped to make room, and the last part was not empty.
            if not full or len(self._written) == begin or not self._droppable:
                if full:
                    self._notify(cut_note(self._answerer.context_size))
                yield from self._read(reader, "", last=True)
                return

    def _stream(self, running: Answer, reader: AnswerReader) -> Iterator[Delta]:
        """Yield what is new of `running`; `cancel` then applies to it."""
        self._running = running
        if self._cancelled:  # cancelled before `_running` was set
            running.cancel()
        for piece in running:
            self._written += piece.text
            yield from self._read(reader, piece.text, last=False)

    def _read(self, reader: AnswerReader, text: str, *, last: bool) -> Iterator[Delta]:
        """Yield what `reader` makes of `text`, and collect it."""
        if delta := reader.feed(text, last=last):
            self._answer.reasoning += delta.reasoning
            self._answer.content += delta.content
            yield delta

    def _fitting(self, answer: str, left: int) -> Prompt:
        """Return the prompt, after dropping as few of the oldest turns as possible to make it fit.

        `left` is how many more tokens the answer may have, -1 for no limit.
        """
        size = self._answerer.context_size
        prompt = self._prompt(answer)
        if not size:
            return prompt
        reserve = min(ANSWER_RESERVE, size // 4)
        if left >= 0:
            reserve = min(reserve, max(left, 1))
        droppable = self._droppable
        if len(prompt.tokens) <= size - reserve or not droppable:
            return prompt
        # By halving: a conversation may have thousands of turns, and each try writes all of them.
        fewest, most = 0, len(droppable) - 1
        while fewest < most:
            middle = (fewest + most) // 2
            if len(self._prompt(answer, droppable[middle]).tokens) > size - reserve:
                fewest = middle + 1
            else:
                most = middle
        dropped = droppable[fewest]
        prompt = self._prompt(answer, dropped)
        del self.turns[:dropped]
        turns = "turn was" if dropped == 1 else f"{dropped} turns were"
        self._notify(f"context full: the oldest {turns} dropped{', going on' if answer else ''}")
        return prompt

    @property
    def _droppable(self) -> list[int]:
        """Return how many of the oldest turns can be dropped: up to each question but the first."""
        return [i for i, turn in enumerate(self.turns) if turn["role"] == "user"][1:]

    def _prompt(self, answer: str, dropped: int = 0) -> Prompt:
        turns = self.turns[dropped:]
        return self._answerer.prompt(messages_of(self.system, turns), self.options, answer)


def cut_note(context_size: int) -> str:
    """Return what the user is told where an answer ends because the context (tokens) is full."""
    return f"the answer was cut: the context of {context_size} tokens is full (give more with -c)"


def _turn(answer: Delta) -> Message:
    turn = {"role": "assistant", "content": answer.content}
    return {**turn, "reasoning_content": answer.reasoning} if answer.reasoning else turn
