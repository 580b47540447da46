"""Pictures and sounds in messages, and the markers that stand for them in prompts.

A message has them in its `media`, before its text; or its content is in parts, and some are media.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.chat_format.chat_template import Message

if TYPE_CHECKING:  # most conversations are text alone
    from runtime.media.kinds import Media

MARKER = "media_marker"
"""The type of such a part, as llama.cpp's chat library calls it."""
MEDIA = "media"
"""The key of a message's pictures and sounds, and the type and key of such a part."""


def media_part(media: Media) -> dict[str, Any]:
    """Return a part of a message's content that is a picture or a sound."""
    return {"type": MEDIA, MEDIA: media}


def parts_of(message: Message) -> Sequence[Mapping[str, Any]] | None:
    """Return the content of a message in parts, None if it is text alone."""
    content = message.get("content")
    if media := message.get(MEDIA):
        return [*map(media_part, media), {"type": "text", "text": content}]
    return content if isinstance(content, list) else None


def media_of(message: Message) -> list[Media]:
    """Return the pictures and sounds of a message, in order."""
    return [part[MEDIA] for part in parts_of(message) or () if part["type"] == MEDIA]


def with_markers(
    messages: Sequence[Message], marker: Callable[[], str]
) -> tuple[Sequence[Message], list[Media]]:
    """Return the messages with `marker` in the place of each picture and sound, and these."""
    found = [one for message in messages for one in media_of(message)]
    if not found:
        return messages, []
    part = {"type": MARKER, "text": marker()}
    return [_marked(message, part) for message in messages], found


def _marked(message: Message, marker: Mapping[str, Any]) -> Message:
    if not media_of(message):
        return message
    parts = parts_of(message) or ()
    found = {key: value for key, value in message.items() if key != MEDIA}
    return {**found, "content": [marker if one["type"] == MEDIA else one for one in parts]}


def written(turns: Sequence[Message]) -> list[dict[str, Any]]:
    """Return turns as JSON can have them: their media as base64."""
    return [
        {**turn, MEDIA: [base64.b64encode(one.data).decode() for one in turn[MEDIA]]}
        if turn.get(MEDIA)
        else {**turn}
        for turn in turns
    ]


def read(turns: Sequence[Message]) -> list[Message]:
    """Return turns that were `written`; raise MediaError if a picture or sound is damaged."""
    return [_read(turn) for turn in turns]


def _read(turn: Message) -> Message:
    if MEDIA not in turn:
        return turn
    from runtime.media import data_url
    from runtime.media.kinds import read_media

    return {**turn, MEDIA: [read_media(data_url.from_base64(one)) for one in turn[MEDIA]]}
