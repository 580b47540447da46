"""Whether a model fits, and with which context."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MemoryShortage
from runtime.gguf.header import Header
from runtime.model import memory_plan

# 2 layers with 4 heads of 64: 2 * 4 * (64 + 64) * 2 = 2048 bytes of cache a token.
FACTS = {
    "general.architecture": "llama",
    "llama.context_length": 8192,
    "llama.embedding_length": 256,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.vocab_size": 1000,
}
HEADER = Header(3, FACTS, {}, (), 0)
SIZE = 1_000_000_000
TOKEN = 2048 + 512 * 2  # what each token of a batch may look at, at 16 bits
FIXED = memory_plan.plan(HEADER, SIZE, wanted=1, batch=512, available=None).needed - TOKEN


def plan(available: int | None, wanted: int = 0, **options: int | bool) -> memory_plan.Plan:
    return memory_plan.plan(HEADER, SIZE, wanted=wanted, batch=512, available=available, **options)


def test_needs_are_those_of_weights_cache_and_buffers() -> None:
    found = plan(None)

    assert 8192 == found.context
    assert FIXED + 8192 * TOKEN == found.needed
    assert SIZE < FIXED < SIZE + (200 << 20)
    assert "" == found.notice


def test_context_asked_for_is_given() -> None:
    assert 100_000 == plan(1 << 40, wanted=100_000).context


def test_default_context_is_not_more_than_the_model_knows() -> None:
    header = dataclasses.replace(HEADER, metadata={**FACTS, "llama.context_length": 600})

    assert 600 == memory_plan.plan(header, SIZE, wanted=0, batch=512, available=None).context


def test_a_context_beyond_what_the_model_knows_is_given_with_a_warning() -> None:
    found = plan(1 << 40, wanted=8193)

    assert 8193 == found.context
    assert "trained for 8,192 tokens" in found.notice
    assert "" == plan(1 << 40, wanted=8192).notice


def test_default_context_has_a_limit_and_what_fits_is_no_news() -> None:
    header = dataclasses.replace(HEADER, metadata={**FACTS, "llama.context_length": 1 << 20})

    def found(available: int | None) -> memory_plan.Plan:
        return memory_plan.plan(header, SIZE, wanted=0, batch=512, available=available)

    assert 32_768 == found(None).context
    assert (5120, "") == (found(FIXED + 5200 * TOKEN).context, found(FIXED + 5200 * TOKEN).notice)


def test_a_quantized_cache_takes_less() -> None:
    def needed(*types: str) -> int:
        return memory_plan.kv_bytes_per_token(HEADER, *types)

    assert 2048 == needed()
    assert 4096 == needed("f32", "f32")
    assert 1024 + 544 == needed("f16", "q8_0")
    assert 2 * 288 == needed("q4_0", "iq4_nl")


def test_just_enough_is_enough() -> None:
    assert 8192 == plan(FIXED + 8192 * TOKEN).context


def test_context_is_reduced_to_what_fits() -> None:
    found = plan(FIXED + 1000 * TOKEN)

    assert 768 == found.context
    assert FIXED + 768 * TOKEN == found.needed
    assert found.notice.startswith("context reduced from 8192 to 768 tokens: 1.2 GB would be")
    assert "--no-fit" in found.notice


def test_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        MemoryShortage, match=r"even with a context of 512 tokens; 500.0 MB are free"
    ):
        plan(500_000_000)


def test_insisting_helps() -> None:
    assert (8192, "") == (plan(0, fit=False).context, plan(0, fit=False).notice)


def test_header_that_says_nothing_is_judged_by_its_size() -> None:
    empty = Header(3, {}, {}, (), 0)

    assert 4096 == memory_plan.plan(empty, 1000, wanted=0, batch=512, available=1 << 32).context
    with pytest.raises(MemoryShortage):
        memory_plan.plan(empty, 1000, wanted=0, batch=512, available=1000)


@given(st.integers(0, 1 << 34), st.integers(0, 1 << 20))
def test_what_is_planned_fits(available: int, wanted: int) -> None:
    try:
        found = plan(available, wanted)
    except MemoryShortage as exc:
        assert exc.hint
        return

    assert found.needed <= available
    assert 0 < found.context <= (wanted or 8192)
    assert bool(found.notice) == (found.context < (wanted or 4096) or wanted > 8192)
