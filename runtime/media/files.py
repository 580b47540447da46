"""Pictures and sounds in files that the user names: opened, and read from what is open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.unread import A_PICTURE, A_SOUND, EITHER, HEAD, PICTURE, SOUND, refusal
from runtime.media.kinds import Media, read_media
from runtime.media.picture import is_picture
from runtime.media.sound import Sound, is_sound

WANTED = {"": EITHER, PICTURE: A_PICTURE, SOUND: A_SOUND}
"""What a file is to be; an option or command for pictures takes no sounds, nor the other way."""
WAYS = {
    PICTURE: "pictures are given with --image, or with /image in the chat",
    SOUND: "sounds are given with --audio, or with /audio in the chat",
}
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".wav", ".mp3", ".flac",
    ".webp", ".heic", ".avif", ".tif", ".tiff", ".svg",
)  # fmt: skip
"""Of files that are meant to be looked at or listened to, if only to hear that they cannot be."""


def open_file(name: str, wanted: str = "") -> int | None:
    """Open a picture or sound, return its descriptor; None if there is no such file.

    `wanted` is a key of WANTED. Raise MediaError if it is something else, or may not be read.
    """
    path = Path(os.path.expanduser(name))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        return None
    except OSError as exc:
        raise MediaError(
            f"{name} cannot be read: {exc.strerror}", hint="name a file that you may read"
        ) from exc
    try:
        _require_media(fd, name, wanted)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_open(fd: int, name: str) -> Media:
    """Return what is in an open file, which is closed; raise MediaError if it cannot be taken."""
    with open(fd, "rb") as file:
        file.seek(0)
        data = file.read(max(bounds.PICTURE, bounds.SOUND) + 1)
    try:
        return read_media(data)
    except MediaError as exc:
        raise MediaError(f"{name}: {exc.problem}", hint=exc.hint) from exc


def read_file(name: str, wanted: str = "") -> Media:
    """Return the picture or sound in a file; raise MediaError if there is none as `wanted`."""
    fd = open_file(name, wanted)
    if fd is None:
        raise MediaError(f"there is no file {name}", hint=f"give the path of {WANTED[wanted].kind}")
    return read_open(fd, name)


def in_words(media: Media, name: str) -> str:
    """Return what a user is told of it: the name of its file, and how large or long it is."""
    short = Path(name).name
    if isinstance(media, Sound):
        return f"{short} ({media.seconds:.1f} seconds)"
    width, height = media.width, media.height
    if media.orientation >= 5:
        width, height = height, width
    return f"{short} ({width} × {height} pixels)"


def _require_media(fd: int, name: str, wanted: str) -> None:
    """Raise MediaError unless an open file begins as something that is meant to be a picture.

    Whoever asks for it gets nothing else: not what a suffix alone claims to be one.
    """
    expected = WANTED[wanted]
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        what = "is a folder" if stat.S_ISDIR(mode) else "is no file"
        raise MediaError(f"{name} {what}", hint=f"give the path of {expected.kind}")
    head = os.pread(fd, HEAD, 0)
    found = PICTURE if is_picture(head) else SOUND if is_sound(head) else ""
    if not found:
        why = refusal(head, expected)
        raise MediaError(f"{name}: {why.problem}", hint=why.hint)
    if wanted not in ("", found):
        raise MediaError(
            f"{name} is {WANTED[found].kind}; {expected.name} was expected", hint=WAYS[found]
        )
