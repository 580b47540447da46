"""Saved conversations on the disk: opened and written by this process, or by the one outside.

In the sandbox the program can open no file any more. What the user types after /save and /load then
goes to the second process, which opens conversations alone, and replaces none but those that it has
opened or written.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from runtime.container.layout import is_plain_name
from runtime.dialogue import session_file
from runtime.dialogue.session_file import Part
from runtime.errors import SessionError
from runtime.host import app_dirs, fileio, hmac_key
from runtime.sandbox.outside import Outside, Reply, Service


class Disk(Protocol):
    """Where conversations are saved."""

    def open(self, name: str) -> tuple[Path, io.BufferedReader]:
        """Return path and content of a conversation; raise SessionError if there is none."""

    def is_own(self, digest: bytes, mac: bytes) -> bool:
        """Return whether `mac` is this user's HMAC of a hash."""

    def write(self, name: str, parts: Sequence[Part]) -> Path:
        """Write a conversation's parts, return the path; raise SessionError if that fails.

        Another conversation, and what is none, is kept.
        """


class OwnDisk:
    """The disk as this process sees it."""

    def __init__(self, folder: Path | None = None) -> None:
        """With a `folder`, names are those of files in it, and what was saved may be replaced."""
        self._folder = folder
        self._known: set[Path] = set()
        """Conversations that were opened or written: they may be replaced."""

    def path_of(self, name: str) -> Path:
        """Return the path for a name; raise SessionError if there is no such file in the folder."""
        if self._folder is None:
            return path_of(name)
        if not is_plain_name(name):
            raise SessionError(
                f"'{name}' is not the name of a file", hint="leave out folders, as in slot1.bin"
            )
        return self._folder / name

    def open(self, name: str) -> tuple[Path, io.BufferedReader]:
        path = self.path_of(name)
        file = session_file.open_saved(path)
        self._known.add(_resolved(path))
        return path, file

    def is_own(self, digest: bytes, mac: bytes) -> bool:
        return hmac_key.verify(digest, mac)

    def write(self, name: str, parts: Sequence[Part]) -> Path:
        path = self.path_of(name)
        replace = self._folder is not None or _resolved(path) in self._known
        session_file.publish(path, parts, replace=replace)
        self._known.add(_resolved(path))
        return path


class DiskOutside:
    """The disk as the process outside of the sandbox sees it."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def open(self, name: str) -> tuple[Path, io.BufferedReader]:
        reply = self._outside.ask("open_conversation", name=name)
        assert reply.fd is not None
        return Path(reply.values["path"]), open(reply.fd, "rb")

    def is_own(self, digest: bytes, mac: bytes) -> bool:
        reply = self._outside.ask("is_own", digest=digest.hex(), mac=mac.hex())
        return bool(reply.values["own"])

    def write(self, name: str, parts: Sequence[Part]) -> Path:
        fd = os.memfd_create("conversation", os.MFD_CLOEXEC)
        try:
            for part in parts:
                fileio.write_all(fd, memoryview(part))
            reply = self._outside.ask("write_conversation", fd, name=name)
        finally:
            os.close(fd)
        return Path(reply.values["path"])


def services(folder: Path | None = None) -> dict[str, Service]:
    """Return what the process outside does for DiskOutside; with a `folder`, in that alone."""
    disk = OwnDisk(folder)

    def open_conversation(given: Mapping[str, Any], _: int | None) -> Reply:
        path, file = disk.open(given["name"])
        with file:
            os.lseek(file.fileno(), 0, os.SEEK_SET)  # whoever reads it next has no such buffer
            return Reply({"path": str(path)}, os.dup(file.fileno()))

    def is_own(given: Mapping[str, Any], _: int | None) -> Reply:
        own = disk.is_own(bytes.fromhex(given["digest"]), bytes.fromhex(given["mac"]))
        return Reply({"own": own})

    def write_conversation(given: Mapping[str, Any], fd: int | None) -> Reply:
        if fd is None:
            raise SessionError("there is nothing to be saved")
        name = given["name"]
        with open(os.dup(fd), "rb") as file:
            file.seek(0)
            session_file.require_conversation(file, disk.path_of(name))
            content = memoryview(file.read())
        digest = len(content) - session_file.DIGEST_SIZE
        path = disk.write(name, [content[:digest], content[digest:]])
        return Reply({"path": str(path)})

    return {
        "open_conversation": open_conversation,
        "is_own": is_own,
        "write_conversation": write_conversation,
    }


def path_of(name: str) -> Path:
    """Return the path for a name: a path as it is, a bare name as a file in the data folder."""
    path = Path(os.path.expanduser(name))  # an unknown user's ~name stays as it is
    if len(path.parts) > 1 or path.suffix:
        return path
    return app_dirs.data() / f"{name}.conversation"


def _resolved(path: Path) -> Path:
    """Return the path with symlinks in its folder resolved, to recognise the same file again."""
    return path.absolute().parent.resolve() / path.name
