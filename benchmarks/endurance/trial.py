"""Trial: the server under load for minutes, then told to end; what was measured, as rows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.endurance import hostility, watch
from benchmarks.endurance.crowd import Crowd, Tally
from benchmarks.endurance.knowledge import learn
from benchmarks.endurance.watch import Footprint, Health, Sample, Watch
from benchmarks.measure import BenchmarkError, Command
from benchmarks.report import Row
from benchmarks.rows.serve import percentile
from benchmarks.servers import serving

WARM_UP = 60.0
"""Seconds at the begin in which memory may grow, or a third of the whole."""
GRACE = 3.0
HEALTH_MS = 100.0
MEMORY_MB = 20.0
REST = 2.0
"""Seconds until nothing is left of requests that have ended."""
LAST_SECONDS = 2.0
"""Of load before the end."""
FAULTS = ("error:", "Traceback", "warning: worker")


@dataclass(frozen=True)
class Plan:
    """How long, how many of whom, and how the server is started."""

    seconds: float = 600.0
    workers: int = 1
    threads: int = 1
    """Of each worker."""
    friends: int = 12
    foes: int = 3
    seed: int = 1

    @property
    def warm_up(self) -> float:
        """The seconds in which memory may grow."""
        return min(WARM_UP, self.seconds / 3)

    def command(self, program: Path) -> Command:
        """Return the command that starts the server."""
        return [
            program, "serve", "-t", str(self.threads), "--workers", str(self.workers), "-np", "4",
            "-c", "8192", "--pooling", "mean", "--timeout", str(hostility.PATIENCE),
            "--grace", str(GRACE),
        ]  # fmt: skip


@dataclass
class Trial:
    """What was measured."""

    plan: Plan
    tally: Tally = field(default_factory=Tally)
    asked: list[tuple[float, float]] = field(default_factory=list)
    """Of /health: when, and the seconds until it was answered."""
    woken_late: float = 0.0
    """Seconds by which the thread that asks was itself woken too late, at most."""
    unwell: list[str] = field(default_factory=list)
    """What came in place of an answer to /health."""
    memory: Mapping[int, list[int]] = field(default_factory=dict)
    """Of each process after the warm-up, in bytes."""
    before: Mapping[int, Sample] = field(default_factory=dict)
    """Each process at rest after the warm-up."""
    after: Mapping[int, Sample] = field(default_factory=dict)
    """The same at the end."""
    end_seconds: float = 0.0
    """From SIGTERM to the end."""
    status: int = 0
    said: list[str] = field(default_factory=list)
    """Faults that the server reported on stderr."""

    def rows(self) -> list[Row]:
        """Return the figures with their targets."""
        waits = [1000 * seconds for _, seconds in self.asked]
        kept = [pid for pid in self.before if pid in self.after]
        grown = max((watch.growth(self.memory[pid]) for pid in kept), default=0.0)
        size = max((values[-1] for values in self.memory.values() if values), default=0)
        who = f"{self.plan.workers} worker{'s' * (self.plan.workers > 1)}"
        what = f"{who}, {self.plan.seconds / 60:.3g} minutes: "
        note = f"{len(waits)} asked; who asks was itself up to {1000 * self.woken_late:.0f} ms late"
        rows = [
            Row("/health, slowest answer", "ms", (max(waits),), target=HEALTH_MS, note=note),
            Row("/health, 99.9 % of answers", "ms", (percentile(waits, 99.9),), target=HEALTH_MS),
            Row("/health without an answer", "times", (len(self.unwell),), target=0),
            Row("lost, mixed up or wrong", "answers", (self.tally.wrong,), target=0,
                note=self._outcomes()),
            Row("growth of memory, any process", "MB", (grown / 1e6,), target=MEMORY_MB,
                note=f"up to {size / 1e6:.0f} MB"),
            Row("growth of open files at rest", "files", (self._grown("files"),), target=0),
            Row("growth of threads at rest", "threads", (self._grown("threads"),), target=0),
            Row("processes lost", "processes", (len(self.before) - len(kept),), target=0),
            Row("faults reported by the server", "lines", (len(self.said),), target=0),
            Row("from SIGTERM under load to the end", "s", (self.end_seconds,),
                target=GRACE + 1, note=f"--grace {GRACE:g}"),
            Row("exit status", "", (abs(self.status),), target=0),
        ]  # fmt: skip
        return [Row(**{**asdict(row), "what": what + row.what}) for row in rows]

    def _grown(self, name: str) -> int:
        """Return by how much one of the processes holds more at rest than before."""
        pairs = [(self.before[pid], self.after[pid]) for pid in self.before if pid in self.after]
        return max((getattr(b, name) - getattr(a, name) for a, b in pairs), default=0)

    def _outcomes(self) -> str:
        counts: Counter[str] = Counter()
        for (_, outcome), count in self.tally.outcomes.items():
            counts[outcome] += count
        return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))

    def details(self) -> dict[str, Any]:
        """Return every single figure, for JSON."""
        outcomes: dict[str, dict[str, int]] = {}
        for (kind, outcome), count in sorted(self.tally.outcomes.items()):
            outcomes.setdefault(kind, {})[outcome] = count
        return {
            "plan": asdict(self.plan),
            "outcomes": outcomes,
            "wrong": self.tally.examples,
            "late": self.late(),
            "without an answer": self.unwell,
            "memory": {str(pid): values for pid, values in self.memory.items()},
            "before": {str(pid): asdict(one) for pid, one in self.before.items()},
            "after": {str(pid): asdict(one) for pid, one in self.after.items()},
            "said": self.said,
        }

    def late(self) -> list[dict[str, Any]]:
        """Return the late answers to /health, and the hostile requests that ran meanwhile."""
        return [
            {
                "ms": round(1000 * seconds),
                "meanwhile": [
                    kind
                    for kind, begin, end in self.tally.hostile
                    if begin < at + seconds and at < end
                ],
            }
            for at, seconds in self.asked
            if 1000 * seconds > HEALTH_MS
        ]


def run(plan: Plan, program: Path, say: Callable[[str], None]) -> Trial:
    """Put the server in `program` under load, then end it."""
    trial = Trial(plan)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        serving(plan.command(program), stderr=log.fileno()) as server,
    ):
        say("learning the right answers …")
        known = learn(server.port)
        footprint, health = Footprint(server.process.pid), Health(server.port)
        say(f"load for {plan.seconds:.0f} s …")
        with (
            Crowd(server.port, known, plan.friends, plan.foes, plan.seed) as crowd,
            Watch(footprint.look, 1.0),
            Watch(health.ask, watch.PAUSE) as asking,
        ):
            time.sleep(plan.warm_up)
            trial.before = _at_rest(crowd, footprint)
            begin = time.monotonic()
            crowd.go_on()
            time.sleep(plan.seconds - plan.warm_up)
            trial.memory = footprint.memory(begin, time.monotonic())
            trial.after = _at_rest(crowd, footprint)
            crowd.go_on()
            time.sleep(LAST_SECONDS)
            asking.stop()
            health.close()
            crowd.expect_the_end()
            trial.end_seconds, trial.status = _end(server.process)
            trial.tally = crowd.tally()
        trial.asked, trial.unwell = health.asked, health.failures
        trial.woken_late = max(asking.late)
        log.seek(0)
        trial.said = [line.rstrip() for line in log if line.startswith(FAULTS)]
    return trial


def _at_rest(crowd: Crowd, footprint: Footprint) -> dict[int, Sample]:
    """Return what each process holds while nobody asks."""
    crowd.rest()
    time.sleep(REST)
    return footprint.now()


def _end(process: subprocess.Popen[bytes]) -> tuple[float, int]:
    """Tell the server to end; return the seconds it takes, and its exit status."""
    begin = time.monotonic()
    process.terminate()
    try:
        status = process.wait(10 * GRACE)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"the server does not end within {10 * GRACE:.0f} s") from None
    return time.monotonic() - begin, status


def shown(trial: Trial) -> None:
    """Print what went wrong, and what ran while /health was late."""
    for text in [*trial.tally.examples[:10], *trial.unwell[:5], *trial.said[:10]]:
        print(f"wrong: {text}", file=sys.stderr)
    for one in sorted(trial.late(), key=lambda one: -one["ms"])[:10]:
        print(f"late: {one['ms']} ms, meanwhile {one['meanwhile']}", file=sys.stderr)
