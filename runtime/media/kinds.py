"""Kinds of media that a message may have beside its text, and how many there may be."""

from __future__ import annotations

from typing import TypeAlias

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.picture import Picture, read_picture
from runtime.media.sound import Sound, is_sound, read_sound

Media: TypeAlias = Picture | Sound


def read_media(data: bytes) -> Media:
    """Look through the file of a sound or a picture; raise MediaError if it is neither."""
    return read_sound(data) if is_sound(data) else read_picture(data)


def require_few(count: int) -> None:
    """Raise MediaError if a request has more pictures and sounds than it may."""
    if count > bounds.MEDIA:
        raise MediaError(
            f"the request has {count} pictures and sounds, at most {bounds.MEDIA} are taken",
            hint="leave out those that the question is not about",
        )
