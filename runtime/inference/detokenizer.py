"""Incremental detokenizer: bytes to UTF-8 text, with possible stop strings held back."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Detokenizer:
    """Decodes the bytes of one answer; text that may be the start of a stop string is held back."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = ""
        """The stop string that was found, empty before."""

    def feed(self, data: bytes) -> str:
        """Append bytes; return the text that is final, empty once a stop string was found."""
        text = self._decoder.decode(data)
        return self._up_to_stop(text) if self._stops else text

    def rest(self) -> str:
        """Return the text held back; call it once, at the end of the input."""
        if self.stopped:
            return ""
        text = self._decoder.decode(b"", final=True)
        if self._stops:
            text = self._up_to_stop(text) + self._held
            self._held = ""
        return text

    def _up_to_stop(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        places = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if places:
            # The stop string that ends first, however the text was split into pieces.
            begin, self.stopped = min(places, key=lambda p: (p[0] + len(p[1]), p[0]))
            self._held = ""
            return text[:begin]
        keep = max(partial_match_length(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def partial_match_length(text: str, stop: str) -> int:
    """Return the length of the longest proper prefix of `stop` that `text` ends with."""
    for count in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:count]):
            return count
    return 0
