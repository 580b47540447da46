"""How documents are cut: the sizes of pieces, and their spelling in an option."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import UsageError

SHORTEST, LONGEST = 20, 100_000
"""Characters that a piece may be told to have at most."""
NAMES = {
    "max": "max_chars", "min": "min_chars", "overlap": "overlap",
    "max_chars": "max_chars", "min_chars": "min_chars",
}  # fmt: skip
EXAMPLE = "for example max=400,min=40,overlap=60"


@dataclass(frozen=True)
class Chunking:
    """Sizes in characters."""

    max_chars: int = 400
    """No piece has more."""
    min_chars: int = 40
    """What has less is joined with what stands beside it below the same heading."""
    overlap: int = 60
    """What a piece may repeat of the one before, in whole sentences."""

    def __post_init__(self) -> None:
        if not SHORTEST <= self.max_chars <= LONGEST:
            raise UsageError(
                f"pieces of up to {self.max_chars} characters are asked for, "
                f"expected {SHORTEST} to {LONGEST}",
                hint=EXAMPLE,
            )
        for name, value in (("min", self.min_chars), ("overlap", self.overlap)):
            if not 0 <= value <= self.max_chars // 2:
                raise UsageError(
                    f"{name} is {value}, expected 0 to half of max, which is {self.max_chars}",
                    hint=EXAMPLE,
                )

    @classmethod
    def parse(cls, text: str) -> Chunking:
        """Return what `max=400,min=40,overlap=60` says; what it does not name is as usual."""
        values: dict[str, int] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, _, number = (word.strip() for word in part.partition("="))
            name = NAMES.get(key)
            if name is None or not number.isascii() or not number.isdigit() or len(number) > 9:
                raise UsageError(f"'{part}' is no size of pieces", hint=EXAMPLE)
            values[name] = int(number)
        return cls(**values)

    def __str__(self) -> str:
        return f"max={self.max_chars},min={self.min_chars},overlap={self.overlap}"
