"""llama-server's prompts with pictures and sounds: a text with a marker in the place of each."""

from __future__ import annotations

from runtime.chat_format.media_parts import MEDIA
from runtime.errors import AppError
from runtime.server.http.http_error import HTTPError, http_error_of
from runtime.server.protocols.llama_server_types import MediaText
from runtime.server.service.media_input import MediaInput
from runtime.server.service.service import Service

MARKER = "<__media__>"
"""What clients write; in its place comes the program's own, which nobody else can write."""


def tokens_of(service: Service, given: MediaText) -> list[int]:
    """Return the tokens of a prompt; raise HTTPError if it cannot be read."""
    if not given.multimodal_data:
        return service.tokenizer.tokenize(given.prompt_string)
    reader = MediaInput(service.model.projector, service.web_pictures)
    parts = [
        reader.either(data, f"prompt.multimodal_data[{place}]")
        for place, data in enumerate(given.multimodal_data)
    ]
    count = given.prompt_string.count(MARKER)
    if count != len(parts):
        raise HTTPError(
            400,
            f"'prompt.prompt_string' has {MARKER} {count} times, 'prompt.multimodal_data' has "
            f"{len(parts)} pictures or sounds: there must be one for each",
            param="prompt.prompt_string",
        )
    text = given.prompt_string.replace(MARKER, service.tokenizer.media_marker)
    try:
        return service.tokenizer.tokenize_media(text, [part[MEDIA] for part in parts])
    except AppError as exc:
        raise http_error_of(exc, param="prompt") from exc
