"""Raw completion: the model continues a text as it is, without a chat template."""

from __future__ import annotations

import re
import sys
import time

from runtime import START
from runtime.dialogue.loaded_model import LoadedModel
from runtime.host.std_streams import notify
from runtime.inference.stats import Stats
from runtime.model.model import Model
from runtime.terminal import schema_notes
from runtime.terminal.answer_view import Style

ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"'": b"'", b'"': b'"', b"\\": b"\\"}
TURN_MARKS = re.compile(
    r"<start_of_turn>|<\|im_start\|>|<\|start_header_id\|>|\[INST\]|<\|turn>|<\|start\|>"
    r"|<\|(?:user|system|assistant)\|>|<｜User｜>|<\|START_OF_TURN_TOKEN\|>"
)
"""What well-known chat templates begin a turn with."""


def unescaped(text: str) -> str:
    r"""Return `text` with escapes read as llama.cpp's -e does: \n \r \t \' \" \\ and \xHH.

    Of a character above U+007F, all bytes must be given.
    """

    def read(match: re.Match[bytes]) -> bytes:
        word = match[1]
        return bytes.fromhex(word[1:].decode()) if len(word) == 3 else ESCAPES.get(word, match[0])

    data = text.encode("utf-8", "surrogateescape")
    return ESCAPE.sub(read, data).decode("utf-8", "surrogateescape")


def is_formatted(text: str, model: Model) -> bool:
    """Return whether `text` has turns written out, by the model's tokens or well-known marks."""
    hidden = (not model.piece(token) for token in model.tokenize(text, beginning=False))
    return any(hidden) or bool(TURN_MARKS.search(text))


def complete(
    backend: LoadedModel, text: str, *, style: Style, show_prompt: bool
) -> tuple[Stats, float]:
    """Print the completion of `text` on stdout, after it with `show_prompt`.

    Return its statistics, and the seconds from the start of the program to its first token.
    """
    model, options = backend.model, backend.options
    tokens = model.tokenize(
        text.removeprefix(model.bos) if model.adds_bos else text, beginning=True
    )
    out = sys.stdout
    if show_prompt:
        shown = b"".join(model.piece(token, special=options.special) for token in tokens)
        out.write(style.echo(shown.decode("utf-8", "replace")))
        out.flush()
    if note := schema_notes.before(options):
        notify(note)
    answer = backend.scheduler.submit(tokens, options)
    written, first_token_s = "", 0.0
    for piece in answer:
        first_token_s = first_token_s or time.perf_counter() - START
        written += piece.text
        out.write(piece.text)
        out.flush()
    if not written.endswith("\n"):
        out.write("\n")
    out.flush()
    if note := schema_notes.after(options, written):
        notify(note)
    if options.stats:
        notify(answer.stats.line())
    return answer.stats, first_token_s
