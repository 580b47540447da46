"""Run programs and measure them: time, memory by kind, bytes written to disk."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Command = Sequence["str | Path"]

PROC = Path("/proc")
PAUSE = 0.002  # seconds between two looks at a running program
SAID = 1 << 20  # bytes that a watched program may say: nobody reads them before it ends


class BenchmarkError(Exception):
    """A program that was to be measured failed; the text says which and how."""


@dataclass(frozen=True)
class Run:
    """One finished run of a program."""

    seconds: float
    out: str
    err: str


def run(command: Command, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Run:
    """Run `command` to its end, without a terminal; raise BenchmarkError if it fails."""
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=env,
        cwd=cwd,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise BenchmarkError(_failure(command, done.returncode, done.stderr))
    return Run(seconds, done.stdout, done.stderr)


def _failure(command: Command, code: int, err: str) -> str:
    words = " ".join(str(word) for word in command)
    last = " / ".join(err.strip().splitlines()[-3:])
    return f"`{words}` ended with {code}: {last or 'no message'}"


def timed(make: Callable[[], object], target: Path | None = None) -> float:
    """Return the seconds `make` takes, with no older writes waiting; remove `target` again."""
    os.sync()
    begin = time.perf_counter()
    make()
    seconds = time.perf_counter() - begin
    if target:
        target.unlink()
    return seconds


def interleave(
    rounds: int, *sides: Callable[[], float], warm: bool = True
) -> list[tuple[float, ...]]:
    """Call the sides in turn for `rounds` rounds; return each side's figures.

    Every other round goes backwards, so that no side always profits from what the one before
    left in the caches. With `warm`, one round that does not count comes first.
    """
    figures: list[list[float]] = [[] for _ in sides]
    if warm:
        for side in sides:
            side()
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            figures[index].append(sides[index]())
    return [tuple(side) for side in figures]


@contextmanager
def started(
    command: Command,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command` for watching; on leaving, reap it and raise BenchmarkError if it failed."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        pipesize=SAID,
        env=env,
        cwd=cwd,
    )
    try:
        yield process
    finally:
        err = process.communicate()[1].decode(errors="replace")
    if process.returncode:
        raise BenchmarkError(_failure(command, process.returncode, err))


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether the process has ended, without reaping it: /proc still answers for it."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None


def descendants(pid: int) -> list[int]:
    """Return the numbers of all processes below `pid`, children first."""
    found = []
    for task in _list(PROC / str(pid) / "task"):
        for child in _read(PROC / str(pid) / "task" / task / "children").split():
            found += [int(child), *descendants(int(child))]
    return found


@dataclass(frozen=True)
class Memory:
    """Memory in bytes that cannot be given back without swapping."""

    anonymous: int
    shared: int
    """Pages of memfds and other memory files, mapped or not."""

    @property
    def total(self) -> int:
        """Return both together."""
        return self.anonymous + self.shared


def first_output_memory(command: Command) -> Memory:
    """Run `command`; return what it and its children hold when the first output appears."""
    with started(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = os.read(process.stdout.fileno(), 1)
        found = memory([process.pid, *descendants(process.pid)])
    if not said or not found.total:
        raise BenchmarkError(f"`{command[0]}` printed nothing, or ended at once")
    return found


def peak_memory(command: Command, env: Mapping[str, str] | None = None) -> Memory:
    """Run `command`; return the most that it and its children held at one time."""
    peak = Memory(0, 0)
    with started(command, env) as process:
        while not ended(process):
            now = memory([process.pid, *descendants(process.pid)])
            peak = max(peak, now, key=lambda memory: memory.total)
            time.sleep(PAUSE)
    return peak


def memory(pids: Sequence[int]) -> Memory:
    """Return what the processes hold now.

    A memfd counts in full, once, even where nobody maps it: mapped pages alone (RssShmem) would
    hide a restored model that was only written.
    """
    anonymous = mapped = 0
    files: dict[tuple[int, int], int] = {}
    for pid in pids:
        for line in _read(PROC / str(pid) / "status").splitlines():
            name, _, value = line.partition(":")
            if name in ("RssAnon", "RssShmem"):
                size = int(value.split()[0]) * 1024
                anonymous, mapped = (
                    (anonymous + size, mapped) if name == "RssAnon" else (anonymous, mapped + size)
                )
        files.update(_memory_files(pid))
    return Memory(anonymous, max(mapped, sum(files.values())))


def _memory_files(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield identity and bytes of the memfds that a process has open."""
    folder = PROC / str(pid) / "fd"
    for name in _list(folder):
        try:
            if os.readlink(folder / name).startswith("/memfd:"):
                status = os.stat(folder / name)
                yield (status.st_dev, status.st_ino), status.st_blocks * 512
        except OSError:  # closed meanwhile
            continue


@dataclass(frozen=True)
class Writes:
    """Bytes that a run caused to be written to disk, as the kernel accounts them."""

    launcher: int
    """By the first process until its child has ended: it unpacks the program."""
    program: int
    """By that child and all below it: the program itself."""


def disk_writes(command: Command, env: Mapping[str, str], cwd: Path | None = None) -> Writes:
    """Run `command`, a launcher with one child; return the kernel's `write_bytes`.

    They count every page made dirty in a file on disk, wherever that file is and even if it is
    deleted at once, and none of memory files. A process passes its figure on to the parent that
    waits for it, so what the launcher shows when it has ended, but is not yet reaped, is exact
    and holds everything; what it showed while it still had its child is its own part.
    """
    own = total = 0
    with started(command, env, cwd) as process:
        while not ended(process):
            written = _written(process.pid)
            if descendants(process.pid):  # so nothing had been passed on when it was read
                own = written
            time.sleep(PAUSE)
        total = _written(process.pid)
    return Writes(own, total - own)


def _written(pid: int) -> int:
    for line in _read(PROC / str(pid) / "io").splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the process has ended
        return ""


def _list(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.iterdir()]
    except OSError:
        return []
