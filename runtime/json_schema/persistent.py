"""Persistent maps, sets and lists by copies, in the place of rpds.

jsonschema and referencing import them from there, for a few entries each. The library itself is in
Rust: it would bring another compiler's runtime library into every executable, and its terms.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any


class HashTrieMap(dict[Any, Any]):
    """A map of which every change is a new one."""

    @classmethod
    def convert(cls, value: Any) -> HashTrieMap:
        """Return a map as one of this kind."""
        return value if isinstance(value, cls) else cls(value)

    def insert(self, key: Any, value: Any) -> HashTrieMap:
        """Return the map with another entry."""
        return HashTrieMap({**self, key: value})

    def remove(self, key: Any) -> HashTrieMap:
        """Return the map without an entry; raise KeyError if there is none."""
        changed = HashTrieMap(self)
        del changed[key]
        return changed

    def update(self, *others: Mapping[Any, Any]) -> HashTrieMap:  # type: ignore[override]
        """Return the map with the entries of others."""
        changed = dict(self)
        for other in others:
            changed |= other
        return HashTrieMap(changed)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class HashTrieSet(frozenset[Any]):
    """A set of which every change is a new one."""

    def insert(self, value: Any) -> HashTrieSet:
        """Return the set with another value."""
        return HashTrieSet(self | {value})

    def discard(self, value: Any) -> HashTrieSet:
        """Return the set without a value."""
        return HashTrieSet(self - {value})

    def update(self, *others: Iterable[Any]) -> HashTrieSet:
        """Return the set with the values of others."""
        return HashTrieSet(self.union(*others))


class List(tuple[Any, ...]):
    """A list of which every change is a new one."""

    def push_front(self, value: Any) -> List:
        """Return the list with another value before all."""
        return List((value, *self))


def stand_in() -> None:
    """Let these be what `import rpds` finds, unless the library is loaded already."""
    module = types.ModuleType("rpds", __doc__)
    vars(module).update(HashTrieMap=HashTrieMap, HashTrieSet=HashTrieSet, List=List)
    sys.modules.setdefault("rpds", module)
