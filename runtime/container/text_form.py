"""Text form: how texts are given to an embedding model, and what its vectors are.

Facts of the section that holds the model: `bundle` finds them out and proves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.errors import DAMAGED, FormatError

POOLINGS = {"mean": 1, "cls": 2, "last": 3}
"""How the vectors of a text's tokens become one, with the numbers of llama_pooling_type."""
NAMES = {
    "mean": "the mean of all tokens", "cls": "the first token", "last": "the last token",
}  # fmt: skip
"""What each of them takes, in words."""


@dataclass(frozen=True)
class TextForm:
    """How texts are given to an embedding model, and what comes of them."""

    pooling: str
    """One of POOLINGS."""
    query: str = ""
    """What is put before a question."""
    passage: str = ""
    """What is put before a text in which the answer may be."""
    dimensions: int = 0
    """Numbers of a vector; 0 where they are not known yet."""

    @property
    def identity(self) -> str:
        """Return a text that differs where vectors of the same model would."""
        return repr((self.pooling, self.query, self.passage))

    def facts(self) -> dict[str, Any]:
        """Return what a section says about it."""
        return {
            "pooling": self.pooling,
            "query_prefix": self.query,
            "passage_prefix": self.passage,
            "dimensions": self.dimensions,
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any], name: str) -> TextForm:
        """Return the form in the facts of the section `name`; raise FormatError if it is none."""
        form = cls(
            facts.get("pooling", ""),
            facts.get("query_prefix", ""),
            facts.get("passage_prefix", ""),
            facts.get("dimensions", 0),
        )
        if (
            not isinstance(form.pooling, str)
            or form.pooling not in POOLINGS
            or not isinstance(form.query, str)
            or not isinstance(form.passage, str)
            or not isinstance(form.dimensions, int)
            or max(len(form.query), len(form.passage)) > bounds.EMBEDDER_PREFIX
        ):
            raise FormatError(f"the facts of the part '{name}' are none", hint=DAMAGED)
        return form
