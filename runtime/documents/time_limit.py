"""Time limit of reading a document: a stranger's file may be made to take for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runtime import bounds
from runtime.errors import DocumentError


class _Thread(threading.local):
    end = float("inf")


_thread = _Thread()


@contextmanager
def limited() -> Iterator[None]:
    """Limit what is read within; `check_time` raises DocumentError when it takes too long."""
    _thread.end = time.thread_time() + bounds.DOCUMENT_SECONDS
    try:
        yield
    finally:
        del _thread.end


def check_time() -> None:
    """Raise DocumentError if reading the document takes longer than it may."""
    if time.thread_time() > _thread.end:
        raise DocumentError(
            f"it takes longer than {bounds.DOCUMENT_SECONDS:g} seconds to read",
            hint="save it in another format",
        )
