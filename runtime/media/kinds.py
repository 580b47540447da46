"""Kinds of media that a message may have beside its text, and how many there may be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeAlias

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.formats.unread import EITHER, refusal
from runtime.media.picture import Picture, is_picture, read_picture
from runtime.media.sound import Sound, is_sound, read_sound, require_short
from runtime.units import amount

Media: TypeAlias = Picture | Sound


def read_media(data: bytes) -> Media:
    """Look through the file of a sound or a picture; raise MediaError if it is neither."""
    if is_sound(data):
        return read_sound(data)
    if is_picture(data) or len(data) > bounds.PICTURE:
        return read_picture(data)
    raise refusal(data, EITHER)


def require_few(count: int) -> None:
    """Raise MediaError if a request has more pictures and sounds than it may."""
    if count > bounds.MEDIA:
        raise MediaError(
            f"the request has {count} pictures and sounds, at most {bounds.MEDIA} are taken",
            hint="leave out those that the question is not about",
        )


def require_room(media: Sequence[Media]) -> None:
    """Raise MediaError if pictures and sounds are too large to be decoded at a time."""
    pixels = sum(one.width * one.height for one in media if isinstance(one, Picture))
    if pixels > bounds.PICTURES_PIXELS:
        raise MediaError(
            f"the pictures have {amount(pixels)} pixels together, "
            f"at most {amount(bounds.PICTURES_PIXELS)} are decoded at a time",
            hint="make them smaller, or send fewer",
        )
    require_short("the sounds take", sum(one.seconds for one in media if isinstance(one, Sound)))


class Patience:
    """Processor time of this thread for pictures and sounds, from now on."""

    def __init__(self) -> None:
        self._begin = time.thread_time()

    def require(self) -> None:
        """Raise MediaError if it is used up; what has begun comes to its end."""
        if time.thread_time() - self._begin > bounds.MEDIA_SECONDS:
            raise MediaError(
                f"the pictures and sounds take longer than {bounds.MEDIA_SECONDS:g} seconds "
                "to decode",
                hint="make them smaller, or send fewer",
            )
