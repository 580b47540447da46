"""Tokens of prompts; a text far longer than the context is refused before all of it is read.

To tokenize eight megabytes takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.errors import ContextOverflow
from runtime.media.kinds import Media
from runtime.model.model import Model
from runtime.server.http.http_error import HTTPError

LONG = 1 << 16
"""Characters, up to which a text is tokenized without a look."""
CHARACTERS = 16
"""For each token of the context in the part that is looked at: most texts have three or four."""
DOUBT = 2
"""Times the context that the part must exceed: a part can have more tokens than belong to it in the
whole, if only by its last word."""


class PromptTokenizer:
    """The tokenizer of a model for prompts, of which `room` tokens can be answered."""

    def __init__(self, model: Model, room: int) -> None:
        self._model = model
        self._room = room

    @property
    def bos(self) -> str:
        """Return the text of the token that begins a text."""
        return self._model.bos

    @property
    def adds_bos(self) -> bool:
        """Tell whether it is added by tokenizing."""
        return self._model.adds_bos

    @property
    def media_marker(self) -> str:
        """Return what stands in texts for a picture or sound; raise MediaError if it takes none."""
        return self._model.media_marker

    def tokenize_media(self, text: str, media: Sequence[Media]) -> list[int]:
        """Return the tokens of `text` with what stands for `media`; raise HTTPError if too many."""
        self.require_room(text)
        return self._model.tokenize_media(text, media)

    def tokenize(self, text: str, *, beginning: bool = True) -> list[int]:
        """Return the tokens of `text`; raise HTTPError if they are far too many."""
        self.require_room(text, beginning=beginning)
        return self._model.tokenize(text, beginning=beginning)

    def require_room(self, text: str, *, beginning: bool = False) -> None:
        """Raise HTTPError if `text` has far more tokens than there is room for."""
        size = max(LONG, CHARACTERS * self._room)
        if len(text) > size:
            count = len(self._model.tokenize(text[:size], beginning=beginning))
            if count > DOUBT * self._room:
                raise overflow(ContextOverflow(count, self._room), "more than ")


def overflow(error: ContextOverflow, about: str = "") -> HTTPError:
    """Return the error for a request that is longer than the context."""
    return HTTPError(
        400,
        f"the request has {about}{error.tokens} tokens, the context has room for {error.room}; "
        "shorten it, or start the server with more context (-c)",
        code="context_length_exceeded",
    )
