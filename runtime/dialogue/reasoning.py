"""Tell what a reasoning model thinks from what it answers, as it streams by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.inference.detokenizer import partial_match_length


@dataclass(frozen=True)
class Markers:
    """What a model's thoughts stand between."""

    begin: str
    end: str


KNOWN = (
    Markers("<think>", "</think>"),
    Markers("<thinking>", "</thinking>"),
    Markers("<thought>", "</thought>"),
    Markers("[THINK]", "[/THINK]"),
    Markers("<seed:think>", "</seed:think>"),
)
SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates are told not to let the model think."""


def markers(template: str) -> Markers | None:
    """Return the markers that a chat template knows of, None where it has none."""
    return next((m for m in KNOWN if m.begin in template or m.end in template), None)


def switchable(template: str) -> bool:
    """Tell whether a chat template can be told not to let the model think."""
    return any(switch in template for switch in SWITCHES)


@dataclass(frozen=True)
class Part:
    """Some text, and whether it is thought or answer."""

    text: str
    thought: bool


class ReasoningSplitter:
    """Divides a stream of text; the markers themselves are left out."""

    def __init__(self, markers: Markers | None, prompt: str = "") -> None:
        """Many templates begin the thought themselves, at the end of the prompt."""
        self._markers = markers
        self._held = ""
        self.thinking = markers is not None and prompt.rstrip().endswith(markers.begin)

    def feed(self, text: str) -> Iterator[Part]:
        """Yield the parts that are certain by now."""
        if self._markers is None:
            yield from self._part(text)
            return
        text = self._held + text
        self._held = ""
        while text:
            marker = self._markers.end if self.thinking else self._markers.begin
            before, found, text = text.partition(marker)
            if found:
                yield from self._part(before)
                self.thinking = not self.thinking
            else:
                keep = partial_match_length(before, marker)
                self._held = before[len(before) - keep :]
                yield from self._part(before[: len(before) - keep])

    def rest(self) -> Iterator[Part]:
        """Yield what was held back; there will be no more."""
        held, self._held = self._held, ""
        yield from self._part(held)

    def _part(self, text: str) -> Iterator[Part]:
        if text:
            yield Part(text, self.thinking)
