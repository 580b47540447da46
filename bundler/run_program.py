"""Run a bundle as a child process, and explain why it cannot run.

The launcher, which unpacks the program and starts it, fails for reasons of its own: a temporary
folder that is full, or in which nothing may be run. Neither the program nor its model is to blame.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from bundler.temp_files import temporary_file
from runtime.errors import AppError

LAUNCHER_FAILED = (127, 255)
"""What the system's loader and PyInstaller's launcher exit with; the program itself never does."""
CRASHES = (
    signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGXCPU,
)  # fmt: skip
"""Signals that a program brings upon itself; the last by a limit that it has set."""
ENDING_SECONDS = 10
"""That it gets to clean up."""


@dataclass(frozen=True)
class Done:
    """A finished program: exit code and output."""

    code: int
    out: str
    err: str

    @property
    def crashed(self) -> bool:
        """Tell whether it crashed: a signal such as SIGSEGV or SIGILL."""
        return -self.code in CRASHES


def run(
    program: Path,
    arguments: Sequence[str],
    *,
    seconds: float,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Done:
    """Run `program` to its end, with nothing on its standard input.

    `variables` are added to its environment. Raise AppError where it could not do its work through
    no fault of its own, and subprocess.TimeoutExpired, with the program ended, after `seconds`.
    """
    with _started(
        program, arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, variables=variables
    ) as process:
        out, err = process.communicate(timeout=seconds)
    require_launched(program, process.returncode, err)
    return Done(process.returncode, out, err.strip())


def follow(
    program: Path,
    arguments: Sequence[str],
    *,
    given: str,
    files: Sequence[int],
    on_line: Callable[[str], None],
) -> Done:
    """Run `program` to its end, however long that takes, with `given` on its standard input.

    The open `files` are passed on to it. `on_line` gets each line that it prints, as it prints it.
    Raise AppError where it could not do its work through no fault of its own.
    """
    with temporary_file() as said:  # read at the end: two pipes at once would need a thread
        with _started(
            program, arguments, stdin=subprocess.PIPE, stderr=said, pass_fds=files
        ) as process:
            assert process.stdin and process.stdout
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(given)
            for line in process.stdout:
                on_line(line)
        said.seek(0)
        err = said.read().decode(errors="replace")
    require_launched(program, process.returncode, err)
    return Done(process.returncode, "", err.strip())


@contextlib.contextmanager
def talking(
    program: Path, arguments: Sequence[str], errors: IO[bytes]
) -> Iterator[subprocess.Popen[str]]:
    """Give `program` while it runs, with pipes from and to it; `errors` gets what it complains of.

    It is to end once nothing more is written to it. Raise AppError where it cannot be started.
    """
    with _started(program, arguments, stdin=subprocess.PIPE, stderr=errors) as process:
        yield process
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@contextlib.contextmanager
def _started(
    program: Path,
    arguments: Sequence[str],
    *,
    stdin: int,
    stderr: int | IO[bytes],
    pass_fds: Sequence[int] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[subprocess.Popen[str]]:
    """Give `program` while it runs; whatever goes wrong meanwhile ends it."""
    try:
        process = subprocess.Popen(
            [str(program.absolute()), *arguments], env={**environment(), **variables},
            stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8",
            errors="replace", pass_fds=pass_fds,
        )  # fmt: skip
    except OSError as exc:
        raise not_started(exc, program) from exc
    with process:
        try:
            yield process
        except BaseException:
            _end(process)
            raise


def environment() -> Mapping[str, str]:
    """Return the variables for a program, which may be started by another of its kind."""
    return {**os.environ, "PYINSTALLER_RESET_ENVIRONMENT": "1"}


def not_started(exc: OSError, program: Path) -> AppError:
    """Return the error for a `program` that the system refuses to start."""
    if exc.errno == errno.EACCES and _forbids_programs(program):
        return AppError(
            f"{program} cannot be run: it lies where nothing may be run (mounted noexec)",
            hint="copy it to another folder",
        )
    if exc.errno == errno.EACCES:
        return AppError(
            f"{program} cannot be run: it is not marked as executable",
            hint=f"chmod +x {shlex.quote(str(program))}",
        )
    if exc.errno == errno.ENOEXEC:
        return AppError(
            f"{program} cannot be run: it is for another platform",
            hint="use it on a machine of its kind",
        )
    return AppError(
        f"{program} cannot be run: {exc.strerror}", hint="check its name and its permissions"
    )


def require_launched(program: Path, code: int, err: str) -> None:
    """Raise AppError if the launcher failed, or the system ended `program`."""
    if code in LAUNCHER_FAILED:
        raise AppError(
            f"{program} cannot unpack and start itself: {err.strip() or 'it does not say why'}",
            hint="it needs 60 MB in a temporary folder where programs may be run; name one that "
            "exists: TMPDIR=$HOME/tmp",
        )
    if code < 0 and -code not in CRASHES:
        raise AppError(
            f"{program} was ended by the system ({signal.Signals(-code).name})",
            hint="there may be too little memory: close other programs, and try again",
        )


def _forbids_programs(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError:
        return False


def _end(process: subprocess.Popen[str]) -> None:
    """End the launcher and, through it, the program; killed, it would leave that running."""
    process.terminate()
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
