"""A folder of documents: every file of it is read, or listed with the reason why it is not."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime import bounds
from runtime.documents.document import Document, Unread
from runtime.documents.reading import READERS, Reader, read
from runtime.errors import DocumentError, UsageError
from runtime.units import counted

HIDDEN = ".*"
"""The path under which hidden files and folders are counted."""


@dataclass
class _Found:
    files: list[bytes] = field(default_factory=list)
    """Paths in the folder, as the system has them."""
    unread: dict[bytes, Unread] = field(default_factory=dict)
    hidden: int = 0


def walk(
    folder: Path,
    readers: Mapping[str, Reader] = READERS,
    update: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Document | Unread]:
    """Yield what is in a folder and all below it, in the order of the paths' bytes.

    What could not be read follows in its place, parts of a document right after it. Hidden files
    and folders are counted, and told last; links are not followed. `update` is called with the
    number of files done, and of all. Raise UsageError where there is no such folder, or it has too
    many files.
    """
    root = os.fsencode(folder)
    found = _found(root)
    paths = sorted([*found.files, *found.unread])
    for number, path in enumerate(paths):
        update(number, len(paths))
        if path in found.unread:
            yield found.unread[path]
            continue
        try:
            document = read(Path(os.fsdecode(os.path.join(root, path))), shown(path), readers)
        except DocumentError as exc:
            yield Unread(shown(path), exc.problem, exc.hint)
        else:
            yield document
            yield from document.unread
    if found.hidden:
        what = counted(found.hidden, "hidden file")
        yield Unread(
            HIDDEN, f"{what} or folders are left out", "rename what is to be read", found.hidden
        )


def state(folder: Path) -> str:
    """Return what changes with a file of a folder: the paths, sizes and times of all, hashed.

    Raise UsageError as `walk` does.
    """
    root = os.fsencode(folder)
    digest = hashlib.sha256()
    for path in sorted(_found(root).files):
        with contextlib.suppress(OSError):  # gone meanwhile
            found = os.lstat(os.path.join(root, path))
            digest.update(b"%b\0%d %d\0" % (path, found.st_size, found.st_mtime_ns))
    return digest.hexdigest()


def shown(path: bytes) -> str:
    """Return a path as text that can be stored: bytes that are no UTF-8 become a sign for them."""
    return path.decode("utf-8", "replace")


def require(folder: Path) -> None:
    """Raise UsageError, as `walk` does, where there is no such folder."""
    root = os.fsencode(folder)
    try:
        os.scandir(root).close()
    except OSError as exc:
        raise _no_folder(root, exc) from exc


def _no_folder(root: bytes, exc: OSError) -> UsageError:
    is_file = isinstance(exc, NotADirectoryError)
    what = "is a file" if is_file else f"cannot be read: {exc.strerror}"
    return UsageError(
        f"{os.fsdecode(root)} {what}; a folder with documents was expected",
        hint="name the folder that has the documents",
    )


def _found(root: bytes) -> _Found:
    """Return all files of a folder, without opening one."""
    found = _Found()
    waiting = [b""]
    seen = 0
    while waiting:
        inside = waiting.pop()
        room = bounds.DOCUMENTS - seen
        try:
            with os.scandir(os.path.join(root, inside)) as listed:
                entries = list(itertools.islice(listed, room + 1))
        except OSError as exc:
            if not inside:
                raise _no_folder(root, exc) from exc
            found.unread[inside] = Unread(
                shown(inside), f"it cannot be read: {exc.strerror}", "check its permissions"
            )
            continue
        seen += len(entries)
        if len(entries) > room:
            raise UsageError(
                f"{os.fsdecode(root)} has more than {bounds.DOCUMENTS:,} files",
                hint="name the folder that has the documents, not one above it",
            )
        for entry in entries:
            path = os.path.join(inside, entry.name)
            if entry.name.startswith(b"."):
                found.hidden += 1
            elif entry.is_symlink():
                found.unread[path] = _link(root, path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                found.files.append(path)
    return found


def _link(root: bytes, path: bytes) -> Unread:
    """Return why a link is not read: what it leads to is elsewhere, or is read where it lies."""
    target = os.path.realpath(os.path.join(root, path))
    inside = os.path.join(os.path.realpath(root), b"")
    if not os.path.exists(target):
        return Unread(shown(path), "it is a link that leads nowhere", "remove it")
    if os.path.join(target, b"") == inside:
        return Unread(shown(path), "it is a link to the folder itself", "remove it")
    if target.startswith(inside):
        return Unread(
            shown(path),
            f"it is a link to {shown(target[len(inside) :])}, which lies here as well",
            "copy it, if it is to be found twice",
        )
    return Unread(
        shown(path), "it is a link out of the folder", "copy into the folder what it leads to"
    )
