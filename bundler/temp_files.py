"""Temporary files, with errors that explain what is wrong with the temporary folder."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO

from runtime.errors import AppError


@contextlib.contextmanager
def in_temporary_folder() -> Iterator[None]:
    """Translate an OSError of a temporary file into an AppError."""
    try:
        yield
    except OSError as exc:
        folder = ""
        with contextlib.suppress(OSError):  # there may be none at all
            folder = f" {tempfile.gettempdir()}"
        raise AppError(
            f"the temporary folder{folder} cannot be used: {exc.strerror}",
            hint="free some space there, or name another folder: TMPDIR=$HOME/tmp",
        ) from exc


def temporary_file() -> IO[bytes]:
    """Return a new file without a name; raise AppError where there can be none."""
    with in_temporary_folder():
        return tempfile.TemporaryFile()
