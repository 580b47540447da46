"""A conversation: its turns, its prompt, and what to drop when the context is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from runtime.engine import Stats
from runtime.errors import ModelError
from runtime.options import Options
from runtime.template import Message, Template

RESERVE = 256
"""Tokens kept free for an answer, at most a quarter of the context."""


class Tokenizer(Protocol):
    """The part of a model that a conversation needs."""

    @property
    def bos(self) -> str: ...
    @property
    def adds_bos(self) -> bool: ...
    def tokenize(self, text: str, *, beginning: bool) -> list[int]: ...


class Generator(Protocol):
    """The part of an engine that a conversation needs."""

    stats: Stats
    context_size: int

    def generate(self, prompt: Sequence[int], options: Options | None = None) -> Iterator[str]: ...
    def cancel(self) -> None: ...


class Conversation:
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
        self.engine = engine
        self.tokenizer = tokenizer
        self.template = template
        self.options = options
        self.system = options.system
        self.turns: list[Message] = []
        self._notify = notify

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
                return turn["content"]
        return ""

    def clear(self) -> None:
        """Forget all turns; the system prompt stays."""
        self.turns.clear()

    def _answer(self, before: list[Message]) -> Iterator[str]:
        """Generate the assistant's turn, dropping the oldest turns whenever room runs out.

        On failure the turns are `before` again.
        """
        answer = ""
        failed = False
        total = Stats()
        try:
            while True:
                prompt = self._fitting(answer)
                begin = len(answer)
                left = self.options.n_predict
                if left >= 0:
                    left = max(0, left - total.generated_tokens)
                options = self._limited(left)
                for piece in self.engine.generate(prompt, options):
                    answer += piece
                    yield piece
                _add(total, self.engine.stats)
                full = self.engine.stats.reason == "context"
                # Going on needs room, and room needs an older turn to drop.
                if not full or len(answer) == begin or not self._drop_oldest():
                    if full:
                        self._notify(
                            f"the answer was cut: the context of {self.engine.context_size} "
                            "tokens is full (give more with -c)"
                        )
                    break
                self._notify("context full: the oldest turns were dropped, going on")
        except ModelError:
            failed = True
            raise
        finally:
            # An abandoned answer counts as far as it got, even if that is nowhere: many
            # templates insist that questions and answers alternate.
            if failed:
                self.turns[:] = before
            else:
                self.turns.append({"role": "assistant", "content": answer})
        self.engine.stats = total

    def _limited(self, left: int) -> Options:
        import dataclasses

        return dataclasses.replace(self.options, n_predict=left)

    def _fitting(self, answer: str) -> list[int]:
        """Return the prompt's tokens, with the oldest turns dropped until it leaves room."""
        room = self.engine.context_size - min(RESERVE, self.engine.context_size // 4)
        prompt = self._prompt(answer)
        dropped = False
        while len(prompt) > room and self._drop_oldest():
            dropped = True
            prompt = self._prompt(answer)
        if dropped:
            self._notify("context full: the oldest turns were dropped")
        return prompt

    def _drop_oldest(self) -> bool:
        """Drop the oldest question and answer, never the last question; tell if one went."""
        users = [i for i, turn in enumerate(self.turns) if turn["role"] == "user"]
        if len(users) < 2:
            return False
        del self.turns[: users[1]]
        return True

    def _prompt(self, answer: str) -> list[int]:
        messages: list[Message] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        text = self.template.render([*messages, *self.turns]) + answer
        if self.tokenizer.adds_bos and self.tokenizer.bos:
            # Most templates spell out the beginning token that the tokenizer adds as well.
            text = text.removeprefix(self.tokenizer.bos)
        return self.tokenizer.tokenize(text, beginning=True)


def _add(total: Stats, part: Stats) -> None:
    """Add one continuation's cost to the whole answer's."""
    if not total.prompt_tokens:
        total.prompt_tokens = part.prompt_tokens
        total.cached_tokens = part.cached_tokens
        total.prompt_seconds = part.prompt_seconds
    else:
        total.generate_seconds += part.prompt_seconds
    total.generated_tokens += part.generated_tokens
    total.generate_seconds += part.generate_seconds
    total.context_used = part.context_used
    total.context_size = part.context_size
    total.reason = part.reason
