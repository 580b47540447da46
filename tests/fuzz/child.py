"""A child process in which inputs are tried: one that crashes or hangs it is a finding, too."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import re
import signal
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz.target import Target

START_SECONDS = 120
PATIENCE = 20
"""How much longer than its processor time an input may take: the machine may be busy."""


class Finding(Exception):
    """An input did what none may do."""

    def __init__(self, text: str, *, slow: bool = False) -> None:
        """A `slow` one is not made smaller: each attempt would be as slow."""
        super().__init__(text)
        self.slow = slow


class Child:
    """Tries inputs in a process that is started when needed, and again when it is gone."""

    def __init__(self, module: str = "fuzz.targets") -> None:
        """`module` has the targets, as TARGETS."""
        self._module = module
        self._pipe: Connection | None = None
        self.most: dict[str, tuple[float, float]] = {}
        """Seconds and megabytes that an input of each target has taken, at most."""

    def attempt(self, name: str, target: Target, data: bytes) -> None:
        """Raise Finding if the input is one.

        What is slow or large is tried again in a new process: what another input left behind may
        have added to it.
        """
        try:
            self._attempt(name, target, data)
        except Finding as found:
            if not found.slow:
                raise
            self.close()
            self._attempt(name, target, data)

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
            self._process.kill()
            self._process.join()

    def _attempt(self, name: str, target: Target, data: bytes) -> None:
        pipe = self._pipe or self._started()
        pipe.send((name, data, target.seeds()[0]))
        if not pipe.poll(PATIENCE * target.seconds):
            self.close()
            raise Finding(f"no end within {PATIENCE * target.seconds:.0f} s", slow=True)
        try:
            error, seconds, size = pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode or 0
            self.close()
            how = signal.Signals(-code).name if code < 0 else f"status {code}"
            raise Finding(f"the process ended with {how}") from None
        self.most[name] = tuple(map(max, self.most.get(name, (0, 0)), (seconds, size)))
        if error:
            raise Finding(error)
        if seconds > target.seconds:
            raise Finding(
                f"{seconds:.1f} s of processor time, at most {target.seconds:g}", slow=True
            )
        if size > target.megabytes:
            raise Finding(f"{size:.0f} MB, at most {target.megabytes}", slow=True)

    def _started(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._module, other), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(START_SECONDS) or self._pipe.recv() != "ready":
            raise RuntimeError("the process for the inputs does not start")
        return self._pipe


def _serve(module: str, pipe: Connection) -> None:
    targets: Mapping[str, Target] = importlib.import_module(module).TARGETS
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    pipe.send("ready")
    warm: set[str] = set()
    with contextlib.suppress(EOFError):
        while True:
            name, data, sound = pipe.recv()
            target = targets[name]
            if name not in warm:  # what is loaded once is nothing that an input takes
                target.survives(sound)
                warm.add(name)
            pipe.send(_cost(target, data))


def _cost(target: Target, data: bytes) -> tuple[str, float, float]:
    """Return what went wrong, if anything, and seconds and megabytes that the input took."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on, see proc(5)
    before, begun = _peak(), time.process_time()
    error = ""
    try:
        target.survives(data)
    except Exception as exc:
        where = "".join(traceback.format_tb(exc.__traceback__)[-2:])
        error = f"{type(exc).__name__}: {str(exc)[:500]}\n{where}"
    return error, time.process_time() - begun, _peak() - before


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else 0.0
