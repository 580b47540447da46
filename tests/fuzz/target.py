"""Target: something that reads untrusted input, sound inputs, and what one input may cost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis.strategies import SearchStrategy

from fuzz.mutations import octets
from runtime.errors import AppError

Run = Callable[[bytes], object]
Mutate = Callable[[Sequence[bytes]], SearchStrategy[bytes]]


@dataclass(frozen=True)
class Target:
    """A reader, which may raise AppError, a clean refusal; anything else is a finding."""

    run: Run
    seeds: Callable[[], Sequence[bytes]]
    """Gives inputs that it accepts."""
    mutate: Mutate = octets
    """Gives a strategy for such inputs with a few changes."""
    seconds: float = 5.0
    """Processor time that one input may take."""
    megabytes: int = 400
    """Memory that one input may take beside what the process had before."""

    def survives(self, data: bytes) -> None:
        """Let it read; AppError is a clean refusal."""
        with contextlib.suppress(AppError):
            self.run(data)
