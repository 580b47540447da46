"""Whether the weights are repacked for one answer: by the prompt's length, threads, processor."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ggufs
import pytest

from runtime.commands.option_precedence import is_set
from runtime.host import resources
from runtime.model import model_file, repacking
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options

PLAIN = frozenset({"avx2", "fma"})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelFile]:
    path = ggufs.write_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", weight_type="Q8_0")
    found = model_file.open_file(Path(path))
    yield found
    os.close(found.fd)


@pytest.fixture(autouse=True)
def _measured_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def decide(
    source: ModelFile, tokens: float, features: frozenset[str] = PLAIN, **flags: Any
) -> repacking.Verdict:
    text = "x" * round(repacking.BYTES_PER_TOKEN * (tokens - repacking.TEMPLATE_TOKENS))
    options = Options(**{"threads": 2, **flags})
    return repacking.for_one_answer(source, options, text, features=features)


def test_short_prompts_do_not_pay_and_long_ones_do(source: ModelFile) -> None:
    least = repacking.break_even(source, 2)

    assert not decide(source, least - 2).repack
    assert decide(source, least + 2).repack
    assert f"from about {least}" in decide(source, least + 2).reason
    assert "--repack to insist" in decide(source, least - 2).reason


def test_the_more_threads_read_the_later_it_pays(source: ModelFile) -> None:
    one, four = (repacking.break_even(source, threads) for threads in (1, 4))

    assert one < four
    assert decide(source, one + 2, threads=1).repack
    assert not decide(source, one + 2, threads=4).repack
    assert not decide(source, one + 2, threads=1, threads_batch=4).repack


def test_experts_that_are_not_asked_are_repacked_for_nothing(source: ModelFile) -> None:
    counts = {"llama.expert_count": 8, "llama.expert_used_count": 2}
    header = dataclasses.replace(source.header, metadata={**source.header.metadata, **counts})
    experts = dataclasses.replace(source, header=header)

    assert 4 * repacking.break_even(source, 2) == repacking.break_even(experts, 2)


def test_the_system_prompt_and_schema_are_read_too(source: ModelFile) -> None:
    long = "x" * repacking.BYTES_PER_TOKEN * repacking.break_even(source, 2)

    assert decide(source, 20, system=long).repack
    assert decide(source, 20, json_schema=long).repack


def test_what_was_not_measured_is_left_as_it_is(
    source: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decide(source, 20, PLAIN | {"amx_tile"}).repack
    assert decide(source, 20, session="talk.json").repack
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert decide(source, 20).repack


def test_the_processors_features_are_known() -> None:
    if platform.machine() == "x86_64":
        assert {"fpu", "sse2"} <= resources.cpu_features()


@pytest.mark.parametrize(
    ("expected", "given"),
    [(False, {}), (False, {"repack": None}), (True, {"repack": True}), (True, {"repack": False})],
)
def test_who_says_so_decides(expected: bool, given: dict[str, Any]) -> None:
    assert expected == is_set("repack", None, given, None)
