"""An engine, a tokenizer and a template without a model, on the interfaces of the real ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from runtime.engine import Stats
from runtime.errors import ModelError
from runtime.options import Options
from runtime.template import Message

Piece = str | Exception | Callable[[], object]


class FakeEngine:
    """Give the answers it was made with, piece by piece; one character is one token.

    A piece may also be an exception to raise, or something to call, such as `engine.cancel`.
    What no longer fits into the context is kept for the continuation that is asked for next.
    """

    def __init__(self, *answers: Iterable[Piece], context_size: int = 4096) -> None:
        self.answers = deque(deque(answer) for answer in answers)
        self.context_size = context_size
        self.stats = Stats()
        self.prompts: list[str] = []
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def generate(self, prompt: Sequence[int], options: Options | None = None) -> Iterator[str]:
        limit = options.n_predict if options else -1
        used = len(prompt)
        self._cancelled = False
        self.stats = stats = Stats(used, 0, 1.0, context_used=used, context_size=self.context_size)
        if used >= self.context_size:
            raise ModelError(f"the prompt has {used} tokens, the context {self.context_size}")
        self.prompts.append("".join(map(chr, prompt)))
        pieces = self.answers.popleft()
        while pieces:
            if 0 <= limit <= stats.generated_tokens:
                stats.reason = "length"
                return
            piece = pieces.popleft()
            if isinstance(piece, Exception):
                raise piece
            if callable(piece):
                piece()
            if self._cancelled:
                stats.reason = "cancelled"
                return
            if isinstance(piece, str):
                stats.generated_tokens += len(piece)
                stats.context_used += len(piece)
                yield piece
            if stats.context_used >= self.context_size:
                stats.reason = "context"
                self.answers.appendleft(pieces)
                return
        stats.reason = "stop"


class FakeTokenizer:
    """Take every character for a token."""

    def __init__(self, bos: str = "", adds_bos: bool = False) -> None:
        self.bos = bos
        self.adds_bos = adds_bos

    def tokenize(self, text: str, *, beginning: bool) -> list[int]:
        return [*map(ord, (self.bos if self.adds_bos and beginning else "") + text)]


class FakeTemplate:
    """Write a line a message; refuse what strict templates refuse."""

    def __init__(self, begin: str = "") -> None:
        self.begin = begin

    def render(self, messages: Sequence[Message]) -> str:
        roles = [message["role"] for message in messages if message["role"] != "system"]
        if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles)):
            raise ModelError("conversation roles must alternate user/assistant/user/assistant/...")
        lines = [f"{message['role']}: {message['content']}\n" for message in messages]
        return self.begin + "".join(lines) + "assistant: "
