"""Whether a model fits, and with which context."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MemoryShortage
from runtime.gguf.header import Header
from runtime.model import memory_plan
from runtime.options.loading import AUTOMATIC

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


def plan(available: int | None, wanted: int = AUTOMATIC, **options: int | bool) -> memory_plan.Plan:
    return memory_plan.plan(HEADER, SIZE, wanted=wanted, batch=512, available=available, **options)


def default(header: Header) -> int:
    """Return the context if none is asked for, and memory is no matter."""
    return memory_plan.plan(header, SIZE, wanted=AUTOMATIC, batch=512, available=None).context


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

    assert 600 == default(header)


def test_a_context_beyond_what_the_model_knows_is_given_with_a_warning() -> None:
    found = plan(1 << 40, wanted=8193)

    assert 8193 == found.context
    assert "trained for 8,192 tokens" in found.notice
    assert "" == plan(1 << 40, wanted=8192).notice


def test_default_context_has_a_limit_and_what_fits_is_no_news() -> None:
    header = dataclasses.replace(HEADER, metadata={**FACTS, "llama.context_length": 1 << 20})

    def found(available: int | None) -> memory_plan.Plan:
        return memory_plan.plan(header, SIZE, wanted=AUTOMATIC, batch=512, available=available)

    assert 32_768 == found(None).context
    assert (5120, "") == (found(FIXED + 5200 * TOKEN).context, found(FIXED + 5200 * TOKEN).notice)


def test_all_that_the_model_was_trained_for_can_be_asked_for() -> None:
    header = dataclasses.replace(HEADER, metadata={**FACTS, "llama.context_length": 100_000})

    def found(available: int | None) -> memory_plan.Plan:
        return memory_plan.plan(header, SIZE, wanted=0, batch=512, available=available)

    assert (100_000, "") == (found(None).context, found(None).notice)
    reduced = found(FIXED + 5200 * TOKEN)
    assert 5120 == reduced.context
    assert "context reduced from 100000 to 5120 tokens" in reduced.notice


@pytest.mark.parametrize(
    ("kind", "original", "expected"),
    [
        (None, 4096, 4096),
        ("longrope", 4096, 4096),
        ("longrope", 5000, 4864),  # the engine's next size, 5120, is beyond
        ("longrope", 200_000, 32_768),
        ("longrope", 10, 32_768),
        ("longrope", None, 32_768),
        ("yarn", 4096, 32_768),  # has one scaling, in use from the first token on
        ("linear", 4096, 32_768),
    ],
)
def test_default_context_keeps_the_first_of_two_rope_scalings(
    kind: str | None, original: int | None, expected: int
) -> None:
    given = {"type": kind, "original_context_length": original}
    scaling = {f"llama.rope.scaling.{key}": value for key, value in given.items()}
    facts = {**FACTS, "llama.context_length": 131_072}
    facts |= {key: value for key, value in scaling.items() if value}
    header = dataclasses.replace(HEADER, metadata=facts)

    def found(wanted: int) -> int:
        return memory_plan.plan(header, SIZE, wanted=wanted, batch=512, available=None).context

    assert [expected, 131_072, 8192] == [found(AUTOMATIC), found(0), found(8192)]


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

    assert 4096 == default(empty)
    with pytest.raises(MemoryShortage):
        memory_plan.plan(empty, 1000, wanted=AUTOMATIC, batch=512, available=1000)


@given(st.integers(0, 1 << 34), st.integers(AUTOMATIC, 1 << 20))
def test_what_is_planned_fits(available: int, wanted: int) -> None:
    try:
        found = plan(available, wanted)
    except MemoryShortage as exc:
        assert exc.hint
        return

    assert found.needed <= available
    asked = wanted or 8192
    assert 0 < found.context <= (asked if asked > 0 else 8192)
    assert bool(found.notice) == (found.context < (asked if asked > 0 else 4096) or asked > 8192)
