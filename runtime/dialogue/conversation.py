"""Conversation: its turns, the answer to the last one, and which to drop if the context is full.

The answers come from an `Answerer`: the local model or a remote server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from runtime.chat_format.answer_reader import AnswerReader, Delta
from runtime.chat_format.chat_template import Message
from runtime.chat_format.media_parts import MEDIA, media_of
from runtime.chat_format.prompt import Prompt, messages_of
from runtime.dialogue.answerer import Answerer
from runtime.errors import AppError, ModelError
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import Answer
from runtime.options.registry import Options

if TYPE_CHECKING:  # most programs have no documents, and most models take text alone
    from runtime.media.kinds import Media
    from runtime.retrieval.citations import Citations
    from runtime.retrieval.grounding import Grounder, Grounding

ANSWER_RESERVE = 256
"""Tokens kept free for an answer, limited to a quarter of the context and to the answer's own
limit."""


class Journal(Protocol):
    """Takes down a conversation as it goes, for another process to go on with."""

    def note(self, system: str, turns: Sequence[Message]) -> None:
        """Take down the turns; a question at their end is being answered."""

    def wrote(self, text: str) -> None:
        """Take down what came of the answer."""


class Conversation:
    """The turns so far, and the statistics of the last answer."""

    def __init__(
        self,
        answerer: Answerer,
        options: Options,
        notify: Callable[[str], None] = lambda _: None,
        grounder: Grounder | None = None,
    ) -> None:
        """`notify` is called with a note when turns are dropped or an answer is cut.

        With a `grounder` questions are answered from documents, unless answers must have a form.
        """
        self.options = options
        self.system = options.system
        self.turns: list[Message] = []
        self.stats = Stats(context_size=answerer.context_size)
        """Statistics of the last answer."""
        self.journal: Journal | None = None
        """Where everything is taken down, if anywhere."""
        self.taken_over = Delta()
        """What of the answer was there before, where it goes on with one that was begun."""
        self.grounding: Grounding | None = None
        """What the last answer was made from, if from documents."""
        self.citations: Citations | None = None
        """What it cites of that."""
        self._answerer = answerer
        self._notify = notify
        self._grounder = grounder
        self._asked = ""
        """The question that is being answered, with passages; empty for the question alone."""
        self._written = ""
        """The answer so far, as the model writes it."""
        self._answer = Delta()
        """The answer so far, divided."""
        self._reader: AnswerReader | None = None
        self._running: Answer | None = None
        self._cancelled = False

    def ask(self, text: str, media: Sequence[Media] = ()) -> Iterator[Delta]:
        """Yield the answer to `text` as it comes, and append both to the turns.

        The question may be about pictures and sounds. A cancelled answer is appended as far as it
        got. Raise ModelError if the question alone does not fit into the context, or the engine
        fails, MediaError if the model does not take the media; the turns are then unchanged.
        """
        before = list(self.turns)
        question = {"role": "user", "content": text}
        self.turns.append({**question, MEDIA: list(media)} if media else question)
        yield from self._reply(before)

    def go_on(self, written: str) -> Iterator[Delta]:
        """Yield the rest of the answer to the last turn, of which so much is written already."""
        yield from self._reply(self.turns[:-1], written)

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
            self.forget_sources()
            if turn["role"] == "user":
                return str(turn["content"])
        return ""

    def clear(self) -> None:
        """Remove all turns; the system prompt stays."""
        self.turns.clear()
        self.forget_sources()

    def forget_sources(self) -> None:
        """Forget what the last answer was made from: it is not the last any more."""
        self.grounding = self.citations = None

    def prompt(self) -> Prompt:
        """Return the prompt of all turns so far."""
        return self._prompt("")

    def cancel(self) -> None:
        """End the running answer within one decode step; safe from any thread or signal handler."""
        self._cancelled = True
        running = self._running
        if running is not None:
            running.cancel()

    def _reply(self, before: list[Message], written: str = "") -> Iterator[Delta]:
        """Yield the assistant's turn and append it; on failure restore the turns `before`.

        `written` is how the turn begins, if it was begun.
        """
        self._written, self._answer, self._reader = written, Delta(), None
        failed = self._cancelled = False
        if self.journal:
            self.journal.note(self.system, self.turns)
        try:
            self._ground()
            if self.grounding and not self.grounding.sources:
                yield self._tell(self.grounding.language.nothing)
            else:
                yield from self._answer_in_parts()
        except AppError:
            failed = True
            self.forget_sources()
            raise
        finally:
            self._running = None
            self._asked = ""
            # Append a cancelled answer even if it is empty: many templates require that user and
            # assistant turns alternate.
            if failed:
                self.turns[:] = before
            else:
                self.turns.append(_turn(self._answer))
                if self.journal:
                    self.journal.note(self.system, self.turns)

    def _ground(self) -> None:
        """Look for what the question can be answered from."""
        self.forget_sources()
        if not (self._grounder and grounds(self.options)) or media_of(self.turns[-1]):
            return
        alone = messages_of(self.system, self.turns[-1:])
        taken = len(self._answerer.prompt(alone, self.options).tokens)
        size = self._answerer.context_size
        free = size - reserve(size, self.options.n_predict) - taken
        self.grounding = self._grounder.ground(self.turns, free, lambda: self._cancelled)
        self.citations = self.grounding.citations()
        self._asked = self.grounding.text

    def _tell(self, text: str) -> Delta:
        """Return an answer that the model has no part in."""
        size = self._answerer.context_size
        self.stats = Stats(context_size=size, reason=FinishReason.STOP)
        self._answer.content = text
        return Delta(content=text)

    def _answer_in_parts(self) -> Iterator[Delta]:
        """Yield the answer; if the context is full, drop the oldest turns and continue it."""
        self.stats = total = Stats(context_size=self._answerer.context_size)
        most = self.options.n_predict
        if most >= 0 and self._written:
            before, behind = (len(self._prompt(text).tokens) for text in ("", self._written))
            most = max(0, most - (behind - before))
        while True:
            left = most if most < 0 else max(0, most - total.generated_tokens)
            prompt = self._fitting(self._written, left)
            reader = self._reader
            if reader is None:
                self._reader = reader = prompt.reader()
                if self._written:  # by another process, which has shown it, too
                    list(self._read(reader, self._written, last=False))
                self.taken_over = dataclasses.replace(self._answer)
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
            if self.journal:
                self.journal.wrote(piece.text)
            yield from self._read(reader, piece.text, last=False)

    def _read(self, reader: AnswerReader, text: str, *, last: bool) -> Iterator[Delta]:
        """Yield what `reader` makes of `text`, and collect it."""
        delta = reader.feed(text, last=last)
        if self.citations:
            delta.content = self.citations.feed(delta.content, last=last)
        if delta:
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
        room = size - reserve(size, left)
        droppable = self._droppable
        if len(prompt.tokens) <= room or not droppable:
            return prompt
        # By halving: a conversation may have thousands of turns, and each try writes all of them.
        fewest, most = 0, len(droppable) - 1
        while fewest < most:
            middle = (fewest + most) // 2
            if len(self._prompt(answer, droppable[middle]).tokens) > room:
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
        if self._asked:  # instead of the question alone, which is what is kept
            turns[-1] = {**turns[-1], "content": self._asked}
        return self._answerer.prompt(messages_of(self.system, turns), self.options, answer)


def reserve(context_size: int, left: int) -> int:
    """Return the tokens to keep free for an answer of at most `left`, -1 for no limit."""
    kept = min(ANSWER_RESERVE, context_size // 4)
    return min(kept, max(left, 1)) if left >= 0 else kept


def grounds(options: Options) -> bool:
    """Tell whether answers are made from documents: not if they must have a form.

    A form leaves no room for citations, nor for the answer that nothing was found.
    """
    return bool(options.passages and not (options.grammar or options.json_schema))


def cut_note(context_size: int) -> str:
    """Return what the user is told where an answer ends because the context (tokens) is full."""
    return f"the answer was cut: the context of {context_size} tokens is full (give more with -c)"


def _turn(answer: Delta) -> Message:
    turn = {"role": "assistant", "content": answer.content}
    return {**turn, "reasoning_content": answer.reasoning} if answer.reasoning else turn
