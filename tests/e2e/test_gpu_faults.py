"""A produced program whose GPU fails: it goes on by the processor, with the right answer."""

from __future__ import annotations

import sys
import time
from http.client import HTTPException
from pathlib import Path

import planted_gpu
import pytest
from paths import DEMO
from program import Program
from server_client import FRANCE, asked, call, said
from servers import Served, serve
from workers import made_once

from bundler.stub import builder as stubs
from runtime.devices.trial import VISIBLE

PARIS = "The capital of France is Paris.\n"
ALONE = "by the processor alone"
TRIED = 2
"""Graphs that are computed to prove the device."""


@pytest.fixture(scope="session")
def planted_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> Path:
        if not (folder / "lib").exists():
            (folder / "lib").mkdir(parents=True)
            planted_gpu.compile_into(folder / "lib")
        return stubs.build(lambda text: print(text, file=sys.stderr), variants=folder / "lib")

    return build(made_once(tmp_path_factory, "planted-stub", build))


def planted(stub: Path, how: str) -> Program:
    """Return the stub with the demo model and a GPU that fails so."""
    flags = ("-m", str(DEMO), "--temp", "0", "--device-timeout", "3")
    return Program(stub, flags, {VISIBLE: "0", "PLANTED": how})


def answer_of(served: Served) -> str:
    """Return the answer, empty where there was none."""
    try:
        status, _, found = call(served, "POST", "/v1/chat/completions", asked())
    except (OSError, HTTPException):  # the worker is gone, or not there yet
        return ""
    return said(found) if status == 200 else ""


@pytest.fixture
def whole(planted_stub: Path, clean_home: Path) -> Program:
    return planted(planted_stub, "never:0")


def test_a_device_that_works_is_used(whole: Program) -> None:
    done = whole(FRANCE)

    assert (0, PARIS) == (done.code, done.out)
    assert "note: GPU: Planted by Vulkan, 5 of 5 layers" in done.err
    assert "error" not in done.err


@pytest.mark.parametrize("how", ["crash", "abort", "hang", "hang-at-wait", "refuse", "nan"])
@pytest.mark.parametrize("after", [0, TRIED, 16, 18])
def test_an_answer_survives_a_device_that_fails(
    planted_stub: Path, clean_home: Path, how: str, after: int
) -> None:
    """At the trial, at the warm-up, and twice in the middle of the answer."""
    if how.startswith("hang") and after < TRIED:
        pytest.skip("a trial is given minutes; tests/devices waits for shorter ones")
    done = planted(planted_stub, f"{how}:{after}")(FRANCE)

    assert (0, PARIS) == (done.code, done.out), done.err
    assert "Planted" in done.err
    assert ("Planted is left out: " if after < TRIED else ALONE) in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "how", ["hang-at-load:0", "hang-at-allocation:0", "hang-at-allocation:400000"]
)
def test_an_answer_survives_a_device_that_worked_before(
    planted_stub: Path, clean_home: Path, how: str
) -> None:
    """It was proved at an earlier start, and fails at this one before it has computed anything."""
    assert 0 == planted(planted_stub, "never:0")(FRANCE).code
    done = planted(planted_stub, how)(FRANCE)

    assert (0, PARIS) == (done.code, done.out), done.err
    assert ALONE in done.err
    assert "Planted failed while it was" in done.err


def test_a_device_that_is_gone_is_told_and_looked_for_again(
    planted_stub: Path, clean_home: Path
) -> None:
    assert 0 == planted(planted_stub, "never:0")(FRANCE).code
    assert 1 == len([*clean_home.rglob("gpu-*.json")]) - len([*clean_home.rglob("gpu-warm-*")])
    done = planted(planted_stub, "gone:0")(FRANCE)

    assert (0, PARIS) == (done.code, done.out)
    assert "note: Planted is gone; the next start looks for GPUs again" in done.err
    assert [*clean_home.rglob("gpu-*.json")] == [*clean_home.rglob("gpu-warm-*.json")]
    assert "GPU: Planted by Vulkan" in planted(planted_stub, "never:0")(FRANCE).err


def test_nothing_is_compiled_ahead_where_nothing_can_be_kept(
    planted_stub: Path, clean_home: Path
) -> None:
    (clean_home / "file").write_text("")
    done = planted(planted_stub, "never:0")(FRANCE, XDG_CACHE_HOME=str(clean_home / "file"))

    assert (0, PARIS) == (done.code, done.out)
    assert "GPU: Planted by Vulkan" in done.err
    assert "compiles" not in done.err


def test_what_a_driver_prints_is_not_in_the_answer(planted_stub: Path, clean_home: Path) -> None:
    for _ in range(2):  # at the trial, and when it is remembered
        done = planted(planted_stub, "chatter:0")(FRANCE)

        assert (0, PARIS) == (done.code, done.out), done.err
    assert "driver: hello" in done.err
    assert "driver: graph" in done.err


@pytest.mark.parametrize(
    "how", ["crash-at-load:1", "none-at-load:1", "full:400000", "full:4000000"]
)
def test_an_answer_survives_a_device_that_fails_at_loading(
    planted_stub: Path, clean_home: Path, how: str
) -> None:
    done = planted(planted_stub, how)(FRANCE)

    assert (0, PARIS) == (done.code, done.out), done.err
    assert "Planted" in done.err or ALONE in done.err


def test_a_completion_goes_on_where_it_was(planted_stub: Path, clean_home: Path) -> None:
    flags = ("--raw", "-p", "The capital of", "-n", "12", "--no-display-prompt")
    expected = planted(planted_stub, "never:0")(*flags)
    assert 0 == expected.code, expected.err
    for after in (1, 3):  # the first run has proved the device, and warmed it up
        done = planted(planted_stub, f"crash:{after}")(*flags)

        assert (0, expected.out) == (done.code, done.out), done.err
        assert ALONE in done.err


def test_an_answer_by_a_schema_goes_on_where_it_was(planted_stub: Path, clean_home: Path) -> None:
    schema = '{"enum": ["The capital of France is Rome.", "The capital of France is London."]}'
    flags = (FRANCE, "--json-schema", schema)
    expected = planted(planted_stub, "never:0")(*flags)
    assert 0 == expected.code, expected.err
    for after in (1, 3, 5):
        done = planted(planted_stub, f"abort:{after}")(*flags)

        assert (0, expected.out) == (done.code, done.out), done.err
        assert ALONE in done.err


def test_a_chat_answers_the_question_again(planted_stub: Path, clean_home: Path) -> None:
    lines = f"{FRANCE}\n{FRANCE}\n"
    done = planted(planted_stub, "crash:18")("-i", stdin=lines)

    assert 0 == done.code, done.err
    assert 2 <= done.out.count(PARIS.strip())
    assert ALONE in done.err
    assert "the conversation goes on" in done.out


@pytest.mark.parametrize("how", ["crash", "hang", "nan"])
def test_a_server_goes_on(planted_stub: Path, clean_home: Path, how: str) -> None:
    with serve(planted(planted_stub, f"{how}:18")) as served:
        begun = time.monotonic()
        answers = []
        while time.monotonic() - begun < 60 and answers[-1:] != [PARIS.strip()]:
            answers.append(answer_of(served))
        assert PARIS.strip() == answers[-1]
        assert {""} >= set(answers[:-1])
        assert any(ALONE in line for line in served.said), served.said
        assert 0 == served.stop()
