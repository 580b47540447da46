"""Detokenizer: the bytes of tokens become UTF-8 text, whole characters, up to a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from runtime.inference.stop_strings import StopStrings


class Detokenizer:
    """Decodes incrementally; an incomplete character or stop string is held back."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        """End the text before the first of `stops`."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopStrings(stops)

    @property
    def stopped(self) -> str:
        """Return the stop string that ended the text; empty until then."""
        return self._stops.stopped

    def feed(self, data: bytes, hidden: bytes = b"") -> str:
        """Take in the bytes of a token; return the text that is certain by now.

        Those that are `hidden` are no part of the text, but may be of a stop string.
        """
        text = self._decoder.decode(data)
        return self._stops.feed(text, hidden.decode("utf-8", "replace"))

    def rest(self) -> str:
        """Return what was held back; there will be no more.

        A character that is incomplete now is left out: it was cut, and not by the model.
        """
        return self._stops.rest()
