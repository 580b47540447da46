"""What is measured is reported, whatever else goes wrong; that figures are right, a run shows."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import cache, machine, peers, run
from benchmarks.endurance import __main__ as endurance
from benchmarks.endurance import watch
from benchmarks.endurance.crowd import Tally
from benchmarks.endurance.trial import Plan, Trial
from benchmarks.endurance.watch import Sample
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError
from benchmarks.report import Row
from benchmarks.rows import restore, serve


def fails(exc: Exception) -> object:
    def measure(lab: Lab) -> list[Row]:
        raise exc

    return measure


def test_a_row_that_fails_loses_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Row("speed of light", "m/s", (3e8,), target=1.0, at_least=True)
    monkeypatch.setattr(
        run,
        "ROWS",
        {
            "broken": fails(ConnectionResetError("the server | has gone\naway")),
            "light": lambda lab: [measured],
            "missing": fails(BenchmarkError("no zstd")),
        },
    )
    figures = tmp_path / "figures.json"
    command = ["run", "--json", str(figures), "--work", str(tmp_path), "--small"]
    monkeypatch.setattr(sys, "argv", command)

    assert 1 == run.main()
    said = capsys.readouterr()
    table = [line for line in said.out.splitlines() if line.startswith("|")]
    assert 5 == len(table)
    assert "| speed of light | 300,000,000.0 m/s | - | - | ≥ 1 | pass |" in table
    assert (
        "| broken: could not be measured: ConnectionResetError: the server \\| has gone / away "
        "| - | - | - | - | **FAIL** |"
    ) in table
    assert "| missing: could not be measured: no zstd | - | - | - | - | **FAIL** |" in table
    assert "Traceback" in said.err  # of what nobody foresaw

    document = json.loads(figures.read_text())
    assert ["speed of light"] == [row["what"] for row in document["rows"]]
    assert {"broken", "missing"} == set(document["failures"])


def test_without_a_compiler_only_the_peers_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "none" == machine.describe(tmp_path)["compiler of the peers"]
    with pytest.raises(BenchmarkError, match="no C compiler 'no-such-compiler'"):
        peers.build()


def test_the_cache_is_the_programs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path / "modelembed" / "benchmarks" / "models" == cache.folder("models")


def test_a_percentile_of_many_is_not_their_maximum() -> None:
    assert 38 == serve.percentile(range(1, 41), 95)
    assert 20 == serve.percentile(range(40), 50)


def test_the_endurance_run_measures_a_server(
    tmp_path: Path, stub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How prompt it is depends on who else uses this machine; what it answers does not."""
    figures = tmp_path / "figures.json"
    monkeypatch.setattr(
        sys, "argv",
        ["endurance", "--minutes", "0.2", "--workers", "2", "--clients", "6", "--hostile", "2",
         "--stub", str(stub), "--work", str(tmp_path), "--json", str(figures)],
    )  # fmt: skip
    code = endurance.main()

    said = capsys.readouterr()
    document = json.loads(figures.read_text())
    rows = {row["what"].partition(": ")[2]: row for row in document["rows"]}
    assert code == (0 if all(row["passed"] for row in rows.values()) else 1)
    for name in ("/health without an answer", "lost, mixed up or wrong", "processes lost",
                 "faults reported by the server", "exit status"):  # fmt: skip
        assert rows[name]["passed"], (name, document["wrong"], said.err)
        assert f": {name}" in said.out
    assert rows["/health, slowest answer"]["value"] > 0
    assert {"whole", "stream", "raw"} <= document["outcomes"].keys()
    assert len(document["before"]) >= 3  # launcher, supervisor, two workers


def test_growth_is_from_the_first_tenth_to_the_last() -> None:
    assert 80 == watch.growth([*range(100, 190, 10), 180])
    assert 0 == watch.growth([5, 900, 900, 5])
    assert 60 == watch.growth([0] * 10 + [900] * 80 + [60] * 10)


def test_what_is_late_wrong_or_left_over_fails() -> None:
    def sample(files: int, threads: int) -> Sample:
        return Sample(0.0, 1, files, threads)

    good = Trial(
        Plan(), asked=[(0.0, 0.05)] * 2000, memory={1: [100] * 50},
        before={1: sample(9, 4)}, after={1: sample(9, 4)},
    )  # fmt: skip
    assert all(row.passed for row in good.rows())
    bad = Trial(
        Plan(), Tally(Counter({("whole", "wrong"): 1, ("raw", "right"): 9}), ["whole: no"]),
        asked=[(0.0, 0.05)] * 500 + [(1.0, 0.2)] * 2, unwell=["status 500"],
        memory={1: [100] * 10 + [30_000_000] * 10}, before={1: sample(9, 4), 2: sample(9, 4)},
        after={1: sample(10, 5)}, end_seconds=5.0, status=-9, said=["error: it failed"],
    )  # fmt: skip
    assert not any(row.passed for row in bad.rows())
    bad.tally.hostile += [("garbage", 0.5, 1.1), ("silent", 1.3, 2.0)]
    assert [{"ms": 200, "meanwhile": ["garbage"]}] * 2 == bad.late()


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_restoring_has_its_targets_with_two_threads(
    tmp_path: Path, stub: Path, clean_home: Path, threads: int
) -> None:
    lab = Lab(tmp_path, rounds=1, threads=threads, small=True, stub=stub)
    rows = restore.compare(lab, "250m-bf16", 2.0)

    found = [(row.what.removeprefix("restore 250m-bf16 with "), row.target) for row in rows]
    expected = {
        1: [("1 threads", None)] * 2,
        2: [("2 threads", 2.0), ("2 threads", restore.FRAMES)],
        3: [("2 threads", 2.0), ("2 threads", restore.FRAMES), ("3 threads", None)],
    }
    assert expected[threads] == found
