"""Pictures and sounds in requests: read from where a client has put them, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from runtime.chat_format.media_parts import media_part
from runtime.errors import AppError
from runtime.media import data_url
from runtime.media.kinds import Media, Patience, read_media, require_few
from runtime.media.picture import Picture, read_picture
from runtime.media.sound import read_sound
from runtime.model.projector.projector import Projector
from runtime.server.http.http_error import HTTPError, http_error_of
from runtime.server.service.web_pictures import WebPictures, fetched


@dataclass
class MediaInput:
    """Reads the pictures and sounds of one request."""

    projector: Projector | None
    """None for a model that takes none."""
    web: WebPictures | None
    """Fetches those that are named by their address; None where that is not allowed."""
    count: int = 0
    """How many there were so far."""
    patience: Patience = field(default_factory=Patience)
    """Since one thread reads them all."""

    @property
    def kinds(self) -> str:
        """Return what the model reads, in words."""
        if self.projector is None:
            return "text only"
        return ", ".join(
            ["text", *["image_url"] * self.projector.sees, *["input_audio"] * self.projector.hears]
        )

    def picture(self, url: str, where: str) -> dict[str, Any]:
        """Return the part of a message for a picture, given as a data URL or an address.

        As for llama-server, base64 alone is taken, too. Raise HTTPError naming the field `where` it
        is if it cannot be read.
        """

        def read() -> Media:
            if data_url.is_data_url(url):
                data = data_url.from_data_url(url)
            elif "://" in url[:16]:
                data = fetched(self.web, url)
            else:
                data = data_url.from_base64(url)
            # Pixels are taken as they lie there, as llama-server takes them.
            return replace(read_picture(data), orientation=1)

        return self._part(read, "image_url", where)

    def sound(self, data: str, where: str) -> dict[str, Any]:
        """Return the part of a message for a sound, given as base64 or a data URL."""

        def read() -> Media:
            is_url = data_url.is_data_url(data)
            return read_sound(
                data_url.from_data_url(data) if is_url else data_url.from_base64(data)
            )

        return self._part(read, "input_audio", where)

    def either(self, data: str, where: str) -> dict[str, Any]:
        """Return the part of a message for a picture or a sound, given as base64."""

        def read() -> Media:
            found = read_media(data_url.from_base64(data))
            return replace(found, orientation=1) if isinstance(found, Picture) else found

        return self._part(read, "multimodal_data", where)

    def _part(self, read: Callable[[], Media], kind: str, where: str) -> dict[str, Any]:
        if self.projector is None:
            raise HTTPError(
                400, f"'{where}' is of type '{kind}': this model reads text only", param=where
            )
        self.count += 1
        try:
            require_few(self.count)
            self.patience.require()
            media = read()
            self.projector.require(media)
        except AppError as exc:
            raise http_error_of(exc, param=where) from exc
        return media_part(media)
