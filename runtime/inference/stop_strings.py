"""Stop strings: end a text before the first of them, and hold back what may yet become one."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Cuts a text that comes in pieces at the first stop string."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        """Take the stop strings; empty ones are ignored."""
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = ""
        """The stop string that was found; empty until then."""

    def feed(self, text: str) -> str:
        """Return the text that cannot be part of a stop string any more."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        text = self._held + text
        places = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if places:
            # The first to be complete, however the text was cut into pieces.
            begin, self.stopped = min(places, key=lambda p: (p[0] + len(p[1]), p[0]))
            self._held = ""
            return text[:begin]
        keep = max(partial_match(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """Return what was held back; there will be no more."""
        held, self._held = self._held, ""
        return held


def partial_match(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `stop`."""
    for count in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:count]):
            return count
    return 0
