"""Stops: strings and tokens that end an answer before them."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.errors import UsageError
from runtime.model.model import Model
from runtime.options.registry import Options


class StopStrings:
    """Cuts a text that comes in pieces at the first stop string.

    Text may be hidden: it is never returned, but a stop string may contain it, as a whole.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        """Take the stop strings; empty ones are ignored."""
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self._hidden: list[tuple[int, int]] = []
        """Begin and end of each hidden text in what is held."""
        self.stopped = ""
        """The stop string that was found; empty until then."""

    def feed(self, text: str, hidden: str = "") -> str:
        """Return the text that cannot be part of a stop string any more.

        `hidden` is what follows `text` without being shown.
        """
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        text = self._held + text
        if hidden:
            self._hidden.append((len(text), len(text) + len(hidden)))
            text += hidden
        places = [(place, stop) for stop in self._stops if (place := self._find(text, stop)) >= 0]
        if places:
            # The first to be complete, however the text was cut into pieces.
            begin, self.stopped = min(places, key=lambda p: (p[0] + len(p[1]), p[0]))
            found = self._release(text, begin)
            self._held = ""
            return found
        return self._release(text, min(self._hold_from(text, stop) for stop in self._stops))

    def rest(self) -> str:
        """Return what was held back; there will be no more."""
        return self._release(self._held, len(self._held))

    def _find(self, text: str, stop: str) -> int:
        """Return where `stop` is in `text`, all of a hidden text or none; -1 if nowhere."""
        place = text.find(stop)
        while place >= 0 and (self._divides(place) or self._divides(place + len(stop))):
            place = text.find(stop, place + 1)
        return place

    def _hold_from(self, text: str, stop: str) -> int:
        """Return from where on `text` may be the beginning of `stop`."""
        keep = _partial_match(text, stop)
        while keep and self._divides(len(text) - keep):
            keep = _partial_match(text, stop[:keep])
        return len(text) - keep

    def _divides(self, place: int) -> bool:
        """Return whether `place` is within hidden text."""
        return any(begin < place < end for begin, end in self._hidden)

    def _release(self, text: str, count: int) -> str:
        """Return what is shown of the first `count` characters of `text`, and hold the others."""
        self._held = text[count:]
        if not self._hidden:
            return text[:count]
        shown, done = "", 0
        for begin, end in self._hidden:
            if begin < count:
                shown += text[done:begin]
                done = end
        self._hidden = [(b - count, e - count) for b, e in self._hidden if b >= count]
        return shown + text[done:count]


def _partial_match(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `stop`."""
    for count in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:count]):
            return count
    return 0


def stop_tokens(model: Model, options: Options) -> frozenset[int]:
    """Return the tokens of `--stop-token-id`; raise UsageError if one is not in the vocabulary."""
    return frozenset(_token(model, text) for text in options.stop_token_ids)


def ignored_ends(model: Model, options: Options) -> list[int]:
    """Return the end tokens that `--ignore-eos` bans: all that are not asked for as a stop."""
    if not options.ignore_eos:
        return []
    stops = stop_tokens(model, options)
    return [
        token
        for token in model.end_tokens
        if token not in stops and not any(model.spelled(token) in stop for stop in options.stop)
    ]


def _token(model: Model, text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()) or int(digits) >= model.vocab_size:
        raise UsageError(
            f"the stop token '{text}' is not a token below {model.vocab_size}",
            hint="name it by its id, for example 2; POST /tokenize of a server tells the ids of a "
            "text",
        )
    return int(digits)
