"""The one calculation of the slots: how much two lists begin alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.inference.kv_cache.slots import common_prefix_length

TOKENS = st.lists(st.integers(0, 2), max_size=20)


@given(TOKENS, TOKENS)
def test_common_beginning(a: list[int], b: list[int]) -> None:
    count = common_prefix_length(a, b)

    assert count == common_prefix_length(b, a)
    assert a[:count] == b[:count]
    assert a[: count + 1] != b[: count + 1] or count == min(len(a), len(b))
    assert len(a) == common_prefix_length(a, a + b)
