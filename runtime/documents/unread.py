"""Unread: what of a folder could not be read, told to people in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runtime.documents.document import Unread

LISTED = 20
"""So many for the same reason are told one by one, more are counted."""


def lines(unread: Sequence[Unread]) -> Iterator[str]:
    """Yield a line for each that could not be read, with the reason; many alike are counted."""
    told: Counter[str] = Counter()
    for one in unread:
        told[one.reason] += 1
        if told[one.reason] <= LISTED:
            hint = f" ({one.hint})" if one.hint and told[one.reason] == 1 else ""
            yield f"not read: {one.path}: {one.reason}{hint}"
    for reason, count in told.items():
        if count > LISTED:
            yield f"not read: {count - LISTED:,} more: {reason}"
