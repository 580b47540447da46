"""Filling in: the prompt by which a model writes what is missing between two texts.

It is made of tokens that such models know, as llama-server makes it: the files around first, then
the text before, the text behind, and the token from which on the middle is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import ModelError
from runtime.model.llama_api import api
from runtime.model.model import Model

BATCH = 2048
"""Tokens at most around the gap, three before it for each behind: llama-server's default batch."""
REPOSITORY, FILE = "myproject\n", "filename\n"
"""Names of what is written into: llama-server has the same."""
SNIPPET = "\n\n--- snippet ---\n\n"
"""What stands before other texts where the model has no token for that."""


@dataclass(frozen=True)
class OtherFile:
    """A file that the model may look at."""

    name: str
    text: str


class FillIn:
    """The fill-in tokens of a model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        vocabulary = model.vocabulary
        self._prefix = int(api.llama_vocab_fim_pre(vocabulary))
        self._suffix = int(api.llama_vocab_fim_suf(vocabulary))
        self._middle = int(api.llama_vocab_fim_mid(vocabulary))
        self._repository = int(api.llama_vocab_fim_rep(vocabulary))
        self._file = int(api.llama_vocab_fim_sep(vocabulary))

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the names of the tokens that the model would need, and lacks."""
        needed = {"prefix": self._prefix, "suffix": self._suffix, "middle": self._middle}
        return tuple(name for name, token in needed.items() if token < 0)

    def require(self) -> None:
        """Raise ModelError if the model has no such tokens."""
        if self.missing:
            raise ModelError(
                f"this model cannot fill in: it has no token for {', '.join(self.missing)}",
                hint="take one that was made for it",
            )

    def prompt(
        self,
        before: Sequence[int],
        behind: Sequence[int],
        *,
        begun: Sequence[int] = (),
        others: Sequence[OtherFile] = (),
        room: int,
    ) -> list[int]:
        """Return the tokens of a prompt.

        `before` and `behind` are what is around the gap, and are cut there where they are farthest
        from it; `begun` is what is written of the middle, as some clients say it. Of `others` the
        last ones are kept, as far as `room`, in tokens, is left. Raise ModelError if the model has
        no such tokens.
        """
        self.require()
        batch = min(BATCH, room)
        kept_before = before[max(0, len(before) - 3 * (batch // 4)) :]
        kept_behind = behind[: max(0, batch // 4 - (2 + len(begun)))]
        begin = [int(api.llama_vocab_bos(self._model.vocabulary))] * self._model.adds_bos
        around = [
            *begin, self._prefix, *kept_before, *begun, self._suffix, *kept_behind, self._middle,
        ]  # fmt: skip
        name = [self._file, *self._plain(FILE)] if self._file >= 0 else []
        left = room - len(around) - len(name)
        if left < 0:
            return around
        extra = self._extra(others)
        return [*extra[max(0, len(extra) - left) :], *name, *around]

    def _extra(self, others: Sequence[OtherFile]) -> list[int]:
        """Return what stands before: the repository, and its other files."""
        found: list[int] = []
        if self._repository >= 0:
            found += [self._repository, *self._plain(REPOSITORY)]
        for other in others:
            mark = self._plain(SNIPPET)
            if self._file >= 0:
                mark = [self._file, *self._plain(f"{other.name}\n")]
            found += [*mark, *self._plain(other.text)]
        return found

    def _plain(self, text: str) -> list[int]:
        return self._model.tokenize(text, beginning=False, special=False)
