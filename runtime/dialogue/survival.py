"""A process that outlives the loss of what computes for it, and keeps the conversation.

The engine cannot go on without a machine or a device that it spread a model over, nor be freed, and
a GPU's driver may crash. So all is done in a child process; when that ends for such a reason,
another takes its place, loads the model onto what is left, and goes on with the turns so far.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from runtime.chat_format import media_parts
from runtime.chat_format.chat_template import Message
from runtime.devices import loss
from runtime.errors import DeviceLost
from runtime.host import interrupts
from runtime.host.fileio import write_all
from runtime.host.std_streams import notify

LIVES, WITHIN_SECONDS = 5, 60.0
"""A chat that is lost more often than that does not begin again."""
CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
"""How a process ends by a driver's fault."""


@dataclass(frozen=True)
class Left:
    """What a process has left to the next one."""

    system: str
    turns: Sequence[Message]
    written: str
    """What there is of the answer to the last turn, if that is a question."""

    @property
    def question(self) -> str:
        """Return the question that was being answered, empty for none."""
        last = self.turns[-1] if self.turns else None
        return str(last["content"]) if last and last["role"] == "user" else ""


@dataclass(frozen=True)
class Life:
    """One of the processes that carry on a chat, after one another; a Journal for the next."""

    number: int
    """0 for the first."""
    memory: int
    """File descriptor of what is left to the next one: a line of JSON, and one for each piece of an
    answer after it."""
    by_processor: bool = False
    """Whether a device of this machine has failed, so that the processor is to compute alone."""

    @property
    def lines(self) -> Iterator[str]:
        """Yield the lines of standard input, and read none ahead: the next process may have to."""
        with open(0, "rb", buffering=0, closefd=False) as raw:
            for line in iter(raw.readline, b""):
                yield line.decode("utf-8", "surrogateescape")

    def note(self, system: str, turns: Sequence[Message]) -> None:
        """Leave a conversation to the next process, in place of what it would get so far."""
        os.ftruncate(self.memory, 0)
        os.lseek(self.memory, 0, os.SEEK_SET)
        self._add({"system": system, "turns": media_parts.written(turns)})

    def wrote(self, text: str) -> None:
        """Leave a piece of the running answer to the next process."""
        self._add(text)

    def _add(self, value: object) -> None:
        write_all(self.memory, json.dumps(value).encode() + b"\n")

    @property
    def left(self) -> Left | None:
        """Return what the process before has left, None for nothing."""
        os.lseek(self.memory, 0, os.SEEK_SET)
        with open(self.memory, "rb", closefd=False) as file:
            lines = [line for line in file if line.endswith(b"\n")]
        if not lines:
            return None
        first = json.loads(lines[0])
        turns = media_parts.read(first["turns"])
        return Left(first["system"], turns, "".join(map(json.loads, lines[1:])))

    def end(self, error: DeviceLost) -> NoReturn:
        """End this process at once, and let another go on."""
        sys.stdout.flush()
        os._exit(loss.code_of(error))

    def fail(self, error: DeviceLost) -> NoReturn:
        """End this process and the chat: leaving it in the usual way would wait for the engine."""
        sys.stdout.flush()
        print(error.render(), file=sys.stderr, flush=True)
        os._exit(error.exit_code)


def survive() -> Life:
    """Return in a child process that may be lost, and in another whenever it was.

    This process waits for them, and ends as the last of them does.
    """
    memory = os.memfd_create("conversation", os.MFD_CLOEXEC)
    born: list[float] = []
    number, by_processor = 0, False
    sys.stdout.flush()
    sys.stderr.flush()
    while True:
        now = time.monotonic()
        born = [at for at in born if now - at < WITHIN_SECONDS]
        if len(born) > LIVES:
            raise DeviceLost(
                f"machines were lost {len(born)} times within {WITHIN_SECONDS:.0f} seconds",
                hint="leave out of --rpc the one that was lost; its worker says why",
            )
        child = os.fork()
        if not child:
            interrupts.end_with_parent()
            return Life(number, memory, by_processor)
        born.append(now)
        number += 1
        with _passed_on(child):
            _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        crashed = -code in CRASHES
        if code == loss.DEVICE_LOST or (crashed and not by_processor):
            by_processor = True
            why = f"the program died with {signal.Signals(-code).name}; " if crashed else ""
            notify(f"{why}going on without GPUs, by the processor alone")
        elif code != loss.MACHINE_LOST:
            raise SystemExit(code if code >= 0 else 128 - code)


@contextmanager
def _passed_on(child: int) -> Iterator[None]:
    """Pass signals on to the child; it decides what they mean."""

    def pass_on(number: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    numbers = [signal.SIGTERM, signal.SIGHUP]
    if not interrupts.interrupts_ignored():
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
