"""Raw completion: the model continues a text as it is, without a chat template."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import replace

from runtime import START
from runtime.dialogue.conversation import Journal, cut_note
from runtime.dialogue.loaded_model import LoadedModel
from runtime.host.std_streams import notify
from runtime.inference.sampler import form_of
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import TokenStream
from runtime.model.model import Model
from runtime.terminal import schema_notes
from runtime.terminal.answer_view import Style

TURN_MARKS = re.compile(
    r"<start_of_turn>|<\|im_start\|>|<\|start_header_id\|>|\[INST\]|<\|turn>|<\|start\|>"
    r"|<\|(?:user|system|assistant)\|>|<｜User｜>|<\|START_OF_TURN_TOKEN\|>"
)
"""What well-known chat templates begin a turn with."""


def is_formatted(text: str, model: Model) -> bool:
    """Return whether `text` has turns written out, by the model's tokens or well-known marks."""
    hidden = (not model.piece(token) for token in model.tokenize(text, beginning=False))
    return any(hidden) or bool(TURN_MARKS.search(text))


def complete(
    backend: LoadedModel,
    text: str,
    *,
    style: Style,
    show_prompt: bool,
    written: str = "",
    journal: Journal | None = None,
) -> tuple[Stats, float]:
    """Print the completion of `text` on stdout, after it with `show_prompt`.

    It goes on behind what is `written` already, and is taken down in the `journal`.

    Return its statistics, and the seconds from the start of the program to its first token.
    """
    model, options = backend.model, backend.options
    tokens = model.tokenize(text, beginning=True)
    if _begins_twice(tokens, model):
        notify(f"the prompt begins with {model.bos} twice: the model adds it to what was typed")
    out = sys.stdout
    if show_prompt:
        shown = b"".join(model.piece(token, special=options.special) for token in tokens)
        out.write(style.echo(shown.decode("utf-8", "replace")))
        out.flush()
    if note := schema_notes.before(options):
        notify(note)
    if journal:
        journal.note("", [])
        journal.wrote(written)
    answer = _submit(backend, tokens, text, written)
    first_token_s = 0.0
    for piece in answer:
        first_token_s = first_token_s or time.perf_counter() - START
        written += piece.text
        if journal:
            journal.wrote(piece.text)
        out.write(piece.text)
        out.flush()
    if not written.endswith("\n"):
        out.write("\n")
    out.flush()
    if note := schema_notes.after(options, written):
        notify(note)
    if answer.stats.reason is FinishReason.CONTEXT:
        notify(cut_note(answer.stats.context_size))
    if options.stats:
        notify(answer.stats.line())
    return answer.stats, first_token_s


def _submit(backend: LoadedModel, tokens: list[int], text: str, written: str) -> TokenStream:
    """Return the completion of `text`, whose `tokens` these are, from what is `written` on."""
    options, form = backend.options, form_of(backend.options)
    if written:
        before, tokens = tokens, backend.model.tokenize(text + written, beginning=True)
        if options.n_predict >= 0:
            left = max(0, options.n_predict - (len(tokens) - len(before)))
            options = replace(options, n_predict=left)
        form = form and replace(form, begun=written)
    return backend.scheduler.submit(tokens, options, form=form)


def _begins_twice(tokens: list[int], model: Model) -> bool:
    """Return whether the BOS token is there twice: the user's own and the model's."""
    first = {model.token_text(token) for token in tokens[:2]}
    return model.adds_bos and len(tokens) > 1 and first == {model.bos}
