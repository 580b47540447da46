"""Whether a model fits, and with which context."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ggufs
import pytest
import recurrent
from engines import demo, engine, in_child
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MemoryShortage
from runtime.gguf.header import Header
from runtime.model import memory_plan
from runtime.options.loading import AUTOMATIC
from runtime.options.registry import Options

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


def plan(
    available: int | None,
    wanted: int = AUTOMATIC,
    *,
    header: Header = HEADER,
    size: int = SIZE,
    processes: int = 1,
    **options: Any,
) -> memory_plan.Plan:
    asked = Options(ctx_size=wanted, **options)
    return memory_plan.plan(header, size, asked, available=available, processes=processes)


def with_facts(**facts: object) -> Header:
    """Return the header with other facts, which have `__` for a point, or none where None."""
    changed = {f"llama.{key.replace('__', '.')}": value for key, value in facts.items()}
    metadata = {key: value for key, value in {**FACTS, **changed}.items() if value is not None}
    return dataclasses.replace(HEADER, metadata=metadata)


FIXED = plan(None, 256).needed - 256 * TOKEN


def test_needs_are_those_of_weights_cache_and_buffers() -> None:
    found = plan(None)

    assert 8192 == found.context
    assert FIXED + 8192 * TOKEN == found.needed
    assert SIZE < FIXED < SIZE + (200 << 20)
    assert "" == found.notice


def test_context_asked_for_is_given() -> None:
    assert 100_000 == plan(1 << 40, wanted=100_000).context


def test_default_context_is_not_more_than_the_model_knows() -> None:
    assert 600 == plan(None, header=with_facts(context_length=600)).context


def test_a_context_beyond_what_the_model_knows_is_given_with_a_warning() -> None:
    found = plan(1 << 40, wanted=8193)

    assert 8193 == found.context
    assert "trained for 8,192 tokens" in found.notice
    assert "" == plan(1 << 40, wanted=8192).notice


def test_default_context_has_a_limit_and_what_fits_is_no_news() -> None:
    header = with_facts(context_length=1 << 20)
    reduced = plan(FIXED + 5200 * TOKEN, header=header)

    assert 32_768 == plan(None, header=header).context
    assert (5120, "") == (reduced.context, reduced.notice)


def test_all_that_the_model_was_trained_for_can_be_asked_for() -> None:
    header = with_facts(context_length=100_000)
    whole, reduced = (plan(free, 0, header=header) for free in (None, FIXED + 5200 * TOKEN))

    assert (100_000, "") == (whole.context, whole.notice)
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
    header = with_facts(
        context_length=131_072,
        rope__scaling__type=kind,
        rope__scaling__original_context_length=original,
    )

    def found(wanted: int) -> int:
        return plan(None, wanted, header=header).context

    assert [expected, 131_072, 8192] == [found(AUTOMATIC), found(0), found(8192)]


def test_a_quantized_cache_takes_less() -> None:
    def needed(*types: str) -> int:
        return memory_plan.kv_bytes_per_token(HEADER, *types)

    assert 2048 == needed()
    assert 4096 == needed("f32", "f32")
    assert 1024 + 544 == needed("f16", "q8_0")
    assert 2 * 288 == needed("q4_0", "iq4_nl")


def per_token(header: Header = HEADER, **options: Any) -> int:
    """Return by how much the need grows with every token of context."""
    needs = [plan(None, size, header=header, **options).needed for size in (256, 512)]
    return (needs[1] - needs[0]) // 256


def test_without_flash_attention_the_scores_of_every_head_take_memory() -> None:
    # llama.cpp's buffers grow by 4 bytes for the mask and 4 for each of 4 heads, the work buffer
    # by 2 more for each head.
    assert TOKEN == per_token() == per_token(flash_attn="on")
    assert 2048 + 512 * (4 + 4 * 6) == per_token(flash_attn="off")
    assert 3072 + 512 * (4 + 4 * 4) == per_token(flash_attn="off", cache_type_v="f32")
    assert 2048 + 128 * (4 + 4 * 6) == per_token(flash_attn="off", batch_size=128)
    windowed = with_facts(attention__sliding_window=1024)
    assert 2048 + 512 * (8 + 4 * 6) == per_token(windowed, flash_attn="off")


@pytest.mark.parametrize("flash", ["on", "off"])
@pytest.mark.parametrize("arch", ["llama", "gemma2", "mamba"])
@in_child
def test_what_the_engine_reports_grows_as_planned(arch: str, flash: str) -> None:
    from runtime.model.model_file import open_file

    def reported(path: Path, context: int, parallel: int) -> int:
        with engine_log() as lines, engine(parallel, context, path, flash_attn=flash):
            found = re.findall(r"(?:KV|RS|compute) buffer size = +([\d.]+) MiB", "".join(lines))
        return round(sum(map(float, found)) * 1024)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        recurrent.write(path) if arch == "mamba" else ggufs.write_model(path, arch)
        header = open_file(path).header
        sizes = [(1024, 1), (4096, 1), (1024, 8)]
        made = [reported(path, context, parallel) for context, parallel in sizes]
        planned = [
            plan(None, context, header=header, parallel=parallel, flash_attn=flash).needed >> 10
            for context, parallel in sizes
        ]
    scores = 512 * 2 * header.hyper("attention.head_count") * 3072 if flash == "off" else 0
    if arch != "mamba":
        assert made[1] - made[0] == pytest.approx(planned[1] - planned[0] - scores / 1024, abs=20)
    assert made[2] - made[0] <= planned[2] - planned[0] + 20


@contextlib.contextmanager
def engine_log() -> Iterator[list[str]]:
    """Collect all that the engine logs."""
    from runtime.model.llama_api import api, log

    demo()  # starts the engine
    lines: list[str] = []
    callback = api.llama_log_callback(lambda _, text, __: lines.append(text.decode()))
    api.llama_log_set(callback, None)
    try:
        yield lines
    finally:
        api.llama_log_set(log.callback, None)


def test_the_engine_makes_contexts_in_steps() -> None:
    assert plan(None, 1024).needed == plan(None, 769).needed > plan(None, 768).needed


def test_every_parallel_answer_takes_memory() -> None:
    one, four = (plan(None, parallel=count).needed for count in (1, 4))
    assert 3 * 4 * 8 * 1000 == four - one

    recurrent = with_facts(
        ssm__inner_size=512, ssm__state_size=16, ssm__conv_kernel=4, ssm__group_count=1
    )
    state = 2 * 4 * (3 * (512 + 2 * 16) + 512 * 16)
    assert state == memory_plan.state_bytes(recurrent)
    one, four = (plan(None, header=recurrent, parallel=count).needed for count in (1, 4))
    assert 3 * (4 * 8 * 1000 + state) == four - one


def test_all_workers_share_what_there_is() -> None:
    own = FIXED - SIZE + 4096 * TOKEN
    enough = plan(SIZE + 3 * own, 4096, processes=3)
    reduced = plan(SIZE + 3 * own - 1, 4096, processes=3)

    assert (4096, SIZE + 3 * own) == (enough.context, enough.needed)
    assert 3840 == reduced.context
    with pytest.raises(MemoryShortage, match="of memory for 30 workers even with") as caught:
        plan(SIZE + own, 4096, processes=30)
    assert "fewer workers" in caught.value.hint


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

    assert 4096 == plan(1 << 32, header=empty, size=1000).context
    with pytest.raises(MemoryShortage):
        plan(1000, header=empty, size=1000)


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
