"""Turn a model's bytes into text: whole characters only, nothing from a stop string on."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Detokenizer:
    """Text in the making; what may yet become a stop string is held back."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = ""
        """The stop string that was found; empty until then."""

    def feed(self, data: bytes) -> str:
        """Take in `data`; return the text that is certain by now."""
        text = self._decoder.decode(data)
        return self._without_stop(text) if self._stops else text

    def rest(self) -> str:
        """Return what was held back; there will be no more."""
        if self.stopped:
            return ""
        text = self._decoder.decode(b"", final=True)
        if self._stops:
            text = self._without_stop(text) + self._held
            self._held = ""
        return text

    def _without_stop(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        places = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if places:
            # The first to be complete, however the text was cut into pieces.
            begin, self.stopped = min(places, key=lambda p: (p[0] + len(p[1]), p[0]))
            self._held = ""
            return text[:begin]
        keep = max(overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `stop`."""
    for count in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:count]):
            return count
    return 0
