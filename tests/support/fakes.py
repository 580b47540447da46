"""An engine, a tokenizer and a template without a model, on the interfaces of the real ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from runtime.chat_format.answer_reader import AnswerReader, ContentReader, Delta
from runtime.chat_format.chat_template import FormattedPrompt, JinjaTemplate, TemplateInputs
from runtime.errors import ModelError
from runtime.inference.answer_form import AnswerForm
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import Piece
from runtime.options.registry import Options

Played = str | Exception | Callable[[], object]


class FakeEngine:
    """Give the answers it was made with, piece by piece; one character is one token.

    A piece may also be an exception to raise, or something to call, such as `engine.cancel`.
    What no longer fits into the context is kept for the continuation that is asked for next.
    """

    def __init__(self, *answers: Iterable[Played], context_size: int = 4096) -> None:
        self.answers = deque(deque(answer) for answer in answers)
        self.context_size = context_size
        self.prompts: list[str] = []
        self.running: FakeAnswer | None = None

    def cancel(self) -> None:
        assert self.running
        self.running.cancel()

    def submit(
        self,
        prompt: Sequence[int],
        options: Options | None = None,
        *,
        form: AnswerForm | None = None,
    ) -> FakeAnswer:
        if len(prompt) >= self.context_size:
            raise ModelError(
                f"the prompt has {len(prompt)} tokens, the context {self.context_size}"
            )
        self.prompts.append("".join(map(chr, prompt)))
        self.running = FakeAnswer(self, len(prompt), options.n_predict if options else -1)
        return self.running


def content(answer: Iterable[Delta]) -> str:
    """Return the content of an answer."""
    return "".join(delta.content for delta in answer)


class FakeAnswer:
    """What a FakeEngine gives back: see runtime.inference.token_stream.Answer."""

    def __init__(self, engine: FakeEngine, used: int, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._cancelled = False
        self.stats = Stats(used, 0, 1.0, context_used=used, context_size=engine.context_size)

    def cancel(self) -> None:
        self._cancelled = True

    def __iter__(self) -> Iterator[Piece]:
        stats = self.stats
        pieces = self._engine.answers.popleft()
        while pieces:
            if 0 <= self._limit <= stats.generated_tokens:
                stats.reason = FinishReason.LENGTH
                return
            piece = pieces.popleft()
            if isinstance(piece, Exception):
                raise piece
            if callable(piece):
                piece()
            if self._cancelled:
                stats.reason = FinishReason.CANCELLED
                return
            if isinstance(piece, str):
                stats.generated_tokens += len(piece)
                stats.context_used += len(piece)
                yield Piece(piece)
            if stats.context_used >= stats.context_size:
                stats.reason = FinishReason.CONTEXT
                self._engine.answers.appendleft(pieces)
                return
        stats.reason = FinishReason.STOP


class FakeTokenizer:
    """Take every character for a token."""

    def __init__(self, bos: str = "", adds_bos: bool = False) -> None:
        self.bos = bos
        self.adds_bos = adds_bos

    def tokenize(self, text: str, *, beginning: bool) -> list[int]:
        return [*map(ord, (self.bos if self.adds_bos and beginning else "") + text)]


class FakeTemplate:
    """Write a line a message; refuse what strict templates refuse."""

    thinks = False
    calls_tools = False
    capabilities: Mapping[str, bool] = {}

    def __init__(self, begin: str = "", source: str = "") -> None:
        """Answers are read as the Jinja template `source` asks for, if there is one."""
        self.begin = begin
        self._reader: Callable[[], AnswerReader] = ContentReader
        if source:
            asked = TemplateInputs(messages=[{"role": "user", "content": "?"}])
            self._reader = JinjaTemplate(source).apply(asked).reader

    def apply(self, inputs: TemplateInputs) -> FormattedPrompt:
        messages = inputs.messages
        roles = [message["role"] for message in messages if message["role"] != "system"]
        if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles)):
            raise ModelError("conversation roles must alternate user/assistant/user/assistant/...")
        lines = [f"{message['role']}: {message['content']}\n" for message in messages]
        text = self.begin + "".join(lines) + "assistant: "
        return FormattedPrompt(text, reader=self._reader)
