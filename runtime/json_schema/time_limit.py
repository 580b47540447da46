"""Time limit of the check whether a schema is one: a stranger's may have ten thousand parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runtime import bounds
from runtime.errors import UsageError


class _Thread(threading.local):
    end = float("inf")


_thread, _stopped = _Thread(), threading.Event()


def stop() -> None:
    """End all checks, in all threads, and all that will begin."""
    _stopped.set()


@contextmanager
def limited() -> Iterator[None]:
    """Limit what is done within; `timed` rules raise UsageError when it takes too long."""
    _thread.end = time.thread_time() + bounds.SCHEMA_SECONDS
    try:
        yield
    finally:
        del _thread.end


def timed(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule of jsonschema's that keeps to the limit."""

    def checked(*arguments: Any) -> Any:
        late = time.thread_time() > _thread.end
        if late or (_stopped.is_set() and _thread.end < float("inf")):
            raise UsageError(
                f"the JSON schema takes longer than {bounds.SCHEMA_SECONDS:g} seconds to check",
                hint="ask for less at once",
            )
        return rule(*arguments)

    return checked
