"""Detokenizer: the bytes of tokens become UTF-8 text, whole characters, up to a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from runtime.inference.stops import StopStrings


class Detokenizer:
    """Decodes incrementally; an incomplete character or stop string is held back."""

    def __init__(self, stops: Sequence[str] = (), *, before: bytes = b"") -> None:
        """End the text before the first of `stops`.

        A character that begins at the end of `before`, the prompt, is part of the text.
        """
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder.decode(before)
        self._begun = bool(self._decoder.getstate()[0])
        """Whether the next byte must complete a character of the prompt."""
        self._stops = StopStrings(stops)

    @property
    def stopped(self) -> str:
        """Return the stop string that ended the text; empty until then."""
        return self._stops.stopped

    def feed(self, data: bytes, hidden: bytes = b"") -> str:
        """Take in the bytes of a token; return the text that is certain by now.

        Those that are `hidden` are no part of the text, but may be of a stop string.
        """
        if self._begun and data:
            if data[0] & 0xC0 != 0x80:  # it does not
                self._decoder.reset()
            self._begun = False
        text = self._decoder.decode(data)
        return self._stops.feed(text, hidden.decode("utf-8", "replace"))

    def rest(self) -> str:
        """Return what was held back; there will be no more.

        A character that is incomplete now is left out: it was cut, and not by the model.
        """
        return self._stops.rest()
