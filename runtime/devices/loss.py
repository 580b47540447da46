"""Loss of a device or another machine while it computes: this process ends, another may go on.

The engine cannot go on without what it has spread a model over, and may never return from it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from runtime.errors import AppError, DeviceLost, WorkerLost
from runtime.inference.scheduler import Scheduler

MACHINE_LOST, DEVICE_LOST = 75, 74
"""Exit codes of a process that cannot go on, though another may, without the machine or device:
EX_TEMPFAIL and EX_IOERR of sysexits.h."""
LAST_SECONDS = 2.0
"""For answers that end by the loss to reach whoever reads them."""
Lose = Callable[[AppError], bool]
"""Ends all answers with the error, and returns whether there were any."""


def code_of(error: DeviceLost) -> int:
    """Return the exit code that tells of a loss."""
    return MACHINE_LOST if isinstance(error, WorkerLost) else DEVICE_LOST


def end_process(error: DeviceLost, lose: Lose) -> NoReturn:
    """End this process, after all answers."""
    if lose(error):
        time.sleep(LAST_SECONDS)
    else:
        print(error.render(), file=sys.stderr, flush=True)
    os._exit(code_of(error))


@contextlib.contextmanager
def limited(names: str, seconds: int, what: str) -> Iterator[Callable[[], None]]:
    """End the process when devices take longer to do `what` than so many seconds.

    Gives what tells that they have got somewhere, from when the time counts anew. No answers may be
    waited for yet.
    """
    done = threading.Event()
    heard = time.monotonic()

    def hear() -> None:
        nonlocal heard
        heard = time.monotonic()

    def wait() -> None:
        while not done.wait(min(1, seconds / 4)):
            if time.monotonic() - heard > seconds:
                error = DeviceLost(
                    f"{names} failed while it was {what}: no result in {seconds} seconds",
                    hint="compute without it: --device none",
                )
                end_process(error, lambda _: False)

    thread = threading.Thread(target=wait, name="limit", daemon=True)
    thread.start()
    try:
        yield hear
    finally:
        done.set()
        thread.join()


def watch(scheduler: Scheduler, names: str, seconds: int, lose: Lose) -> None:
    """End the process when devices fail, as far as the engine returns from them, or hang.

    `names` is what the user calls them; they hang after so many seconds without a result.
    """

    def fail(why: str) -> NoReturn:
        error = DeviceLost(
            f"{names} failed while it computed: {why}", hint="compute without it: --device none"
        )
        end_process(error, lose)

    def wait() -> None:
        while not scheduler.over:
            time.sleep(min(1, seconds / 4))
            if scheduler.busy_for > seconds:
                fail(f"no result in {seconds} seconds")

    scheduler.decoding.on_device_failure = lambda exc: fail(exc.problem)
    threading.Thread(target=wait, name="watch", daemon=True).start()
