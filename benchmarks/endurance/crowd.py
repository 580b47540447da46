"""Crowd: clients of all kinds in a process of their own, who ask until they are told to stop."""

from __future__ import annotations

import http.client
import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.endurance.client import Busy, Cut, Stopping
from benchmarks.endurance.demands import DEMANDS, Ask
from benchmarks.endurance.hostility import HOSTILITIES
from benchmarks.endurance.knowledge import Knowledge
from benchmarks.measure import BenchmarkError

EXPECTED = ("right", "left", "refused", "busy", "ended")
LAST_SECONDS = 150.0
"""In which whoever still asks at the end gets an answer, or none."""
NOTED_SECONDS = 0.02
"""Hostile requests that take longer may be what delays others."""


@dataclass
class Tally:
    """What came of all requests."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind of request: right, left, refused, busy, ended, or wrong."""
    examples: list[str] = field(default_factory=list)
    """What went wrong."""
    hostile: list[tuple[str, float, float]] = field(default_factory=list)
    """Kind, begin and end of hostile requests that took long."""

    @property
    def wrong(self) -> int:
        """Return how many got no answer, or another than they should."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome == "wrong")


class Crowd:
    """Clients who ask from the beginning on; a context manager that ends them."""

    def __init__(self, port: int, known: Knowledge, friends: int, foes: int, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._go, self._ending, self._stop = (context.Event() for _ in range(3))
        self._resting = context.Semaphore(0)
        self._count = friends + foes
        self._pipe, theirs = context.Pipe(duplex=False)
        signs = self._go, self._ending, self._stop, self._resting
        self._process = context.Process(
            target=_ask_all, args=(port, known, friends, foes, seed, signs, theirs), daemon=True
        )
        self._go.set()
        self._process.start()
        theirs.close()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def rest(self) -> None:
        """Let everybody end what is begun, and wait."""
        self._go.clear()
        for _ in range(self._count):
            if not self._resting.acquire(timeout=LAST_SECONDS):
                raise BenchmarkError(f"a client got no answer within {LAST_SECONDS:.0f} s")

    def go_on(self) -> None:
        """Let everybody ask again."""
        self._go.set()

    def expect_the_end(self) -> None:
        """From now on the server may end: that a request gets no answer is no fault any more."""
        self._ending.set()

    def tally(self) -> Tally:
        """End the clients; return what came of their requests."""
        self._stop.set()
        self._go.set()
        if not self._pipe.poll(LAST_SECONDS):
            raise BenchmarkError("the clients do not end")
        try:
            found = self._pipe.recv()
        except EOFError:
            raise BenchmarkError("the clients' process died") from None
        assert isinstance(found, Tally)
        return found


def _ask_all(
    port: int, known: Knowledge, friends: int, foes: int, seed: int, signs: Any, pipe: Any
) -> None:
    """Run the process of the clients: a thread each."""
    tally, lock = Tally(), threading.Lock()
    kinds = [DEMANDS] * friends + [HOSTILITIES] * foes
    threads = [
        threading.Thread(
            target=_ask,
            args=(port, known, kind, random.Random(1000 * seed + number), signs, tally, lock),
        )
        for number, kind in enumerate(kinds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(tally)


def _ask(
    port: int,
    known: Knowledge,
    kinds: Mapping[Ask, int],
    chance: random.Random,
    signs: Any,
    tally: Tally,
    lock: threading.Lock,
) -> None:
    """Ask as one client, until told to stop."""
    go, ending, stop, resting = signs
    while not stop.is_set():
        if not go.is_set():
            resting.release()
            go.wait()
            continue
        (ask,) = chance.choices([*kinds], [*kinds.values()])
        begin, example = time.monotonic(), ""
        try:
            outcome = ask(port, known, chance)
        except Busy:
            outcome = "busy"
        except Stopping:
            outcome = "ended" if ending.is_set() else "wrong"
            example = "the server says that it stops"
        except Exception as exc:  # whatever it is, it is counted
            gone = ending.is_set() and isinstance(exc, OSError | http.client.HTTPException | Cut)
            outcome = "ended" if gone else f"{type(exc).__name__}: {exc}"
        if outcome not in EXPECTED:
            outcome, example = "wrong", example or outcome
        end = time.monotonic()
        with lock:
            tally.outcomes[ask.__name__, outcome] += 1
            if outcome == "wrong":
                tally.examples.append(f"{ask.__name__}: {example}")
            if ask in HOSTILITIES and end - begin > NOTED_SECONDS:
                tally.hostile.append((ask.__name__, begin, end))
        if outcome in ("busy", "ended"):
            time.sleep(chance.uniform(0.05, 0.2))
