"""UNIX sockets to listen on: which one is meant, whose it is, and how it is asked."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from runtime import bounds
from runtime.errors import PortError, UsageError

SCHEME, SUFFIX = "unix:", ".sock"
LONGEST = 107
"""Bytes of a path: sun_path of unix(7) has 108, with a zero at the end."""
ENDING_SECONDS, POLL_SECONDS = 2.0, 0.02
"""For a server that has just ended: the system closes its files one after another."""
OWNER_ALONE = 0o177
"""What a umask takes away so that others cannot connect."""


def path_of(host: str) -> Path | None:
    """Return the socket that `--host` names: `unix:PATH`, or a path that ends in .sock."""
    if host.startswith(SCHEME):
        path = host.removeprefix(SCHEME)
        return Path(path).absolute() if path else Path("/")  # which `bind` refuses
    return Path(host).absolute() if host.endswith(SUFFIX) else None


def bind(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, in place of one that nobody listens at any more.

    Only its owner can connect. Raise UsageError if the path is wrong, PortError if a server listens
    there already.
    """
    size = len(os.fsencode(path))
    if size > LONGEST or path.name in ("", SUFFIX):
        problem = (
            f"has {size} bytes, at most {LONGEST} are possible" if size > LONGEST else "is none"
        )
        raise UsageError(
            f"the path of the socket, {path}, {problem}",
            hint="for example --host unix:/tmp/chat.sock",
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone(path):
            _remove(path)
            before = os.umask(OWNER_ALONE)
            try:
                sock.bind(os.fspath(path))
            finally:
                os.umask(before)
            sock.listen(bounds.BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise UsageError(
            f"the socket {path} cannot be made: {exc.strerror}",
            hint="name a folder that exists and that you may write to",
        ) from exc
    except BaseException:
        sock.close()
        raise
    return sock


def remove_left(path: Path) -> None:
    """Remove the socket at `path`, unless a server listens there for longer than it may end."""
    end = time.monotonic() + ENDING_SECONDS
    while True:
        try:
            with _alone(path):
                _remove(path)
            return
        except PortError:
            if time.monotonic() > end:
                return
            time.sleep(POLL_SECONDS)
        except (OSError, UsageError):
            return


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others from looking at the folder of `path` in the same way meanwhile."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    """Remove a socket that nobody listens at; raise PortError or UsageError if it is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise UsageError(
            f"{path} is there already, and is no socket", hint="name another, or remove it"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # a server whose backlog is full lives as well
        try:
            asking.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise PortError(
        f"a server listens at {path} already", hint="end that one, or name another socket"
    )
