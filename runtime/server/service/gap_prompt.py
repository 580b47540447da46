"""Prompts for what is missing between two texts."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.chat_format import fill_in
from runtime.chat_format.fill_in import OtherFile
from runtime.errors import ModelError
from runtime.server.http.http_error import HTTPError
from runtime.server.service import prompt_tokenizer
from runtime.server.service.service import Service

NEAR = prompt_tokenizer.CHARACTERS * fill_in.BATCH
"""Characters around a gap that may be kept."""
ANSWER = 128
"""Tokens that room is left for where a text is filled in, and no limit is given."""


def gap_prompt(
    service: Service,
    before: str | Sequence[int],
    behind: str,
    *,
    begun: str = "",
    others: Sequence[OtherFile] = (),
    limit: int = -1,
) -> list[int]:
    """Return the prompt for what is missing between two texts; see FillIn.prompt.

    `limit` is the most tokens of the answer, which room is left for. Raise HTTPError if the
    model was not made for that.
    """
    if isinstance(before, str):
        given = _plain(service, before[-NEAR:])
    else:
        (given,) = service.tokens_of(before)
    answer = limit if limit >= 0 else ANSWER
    size = service.scheduler.context_size
    room = size - 1 - min(answer, size // 2)
    # Of what is far from the gap nothing is kept: it need not be cut into tokens.
    cut = [
        OtherFile(other.name, other.text[-prompt_tokenizer.CHARACTERS * room :]) for other in others
    ]
    try:
        return service.fill_in.prompt(
            given, _plain(service, behind[:NEAR]), begun=service.tokenize(begun),
            others=cut, room=room,
        )  # fmt: skip
    except ModelError as exc:
        raise HTTPError(400, exc.problem, param="suffix") from exc


def _plain(service: Service, text: str) -> list[int]:
    """Return the tokens of `text`, none of which is a special one."""
    return service.model.tokenize(text, beginning=False, special=False)
