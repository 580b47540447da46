"""Reasoning splitter: separates a model's reasoning from its answer while streaming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.inference.stop_strings import partial_match


@dataclass(frozen=True)
class Markers:
    """The strings around a model's reasoning."""

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
"""Template variables that disable reasoning when false."""


def markers(template: str) -> Markers | None:
    """Return the reasoning markers in a chat template, None if it has none."""
    return next((m for m in KNOWN if m.begin in template or m.end in template), None)


def switchable(template: str) -> bool:
    """Return whether a chat template has a variable to disable reasoning."""
    return any(switch in template for switch in SWITCHES)


@dataclass(frozen=True)
class Part:
    """A piece of text, either reasoning (`thought`) or answer."""

    text: str
    thought: bool


class ReasoningSplitter:
    """Splits a text stream at the reasoning markers, which are removed."""

    def __init__(self, markers: Markers | None, prompt: str = "") -> None:
        """Start inside the reasoning if the prompt ends with its marker, as many templates do."""
        self._markers = markers
        self._held = ""
        self.thinking = markers is not None and prompt.rstrip().endswith(markers.begin)

    def feed(self, text: str) -> Iterator[Part]:
        """Yield the parts that are final; a possible start of a marker is held back."""
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
                keep = partial_match(before, marker)
                self._held = before[len(before) - keep :]
                yield from self._part(before[: len(before) - keep])

    def rest(self) -> Iterator[Part]:
        """Yield the text held back; call it once, at the end."""
        held, self._held = self._held, ""
        yield from self._part(held)

    def _part(self, text: str) -> Iterator[Part]:
        if text:
            yield Part(text, self.thinking)
