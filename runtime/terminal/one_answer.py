"""One answer, printed on standard output, with notes beside it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime import START
from runtime.dialogue.chat_session import ChatSession
from runtime.dialogue.conversation import Conversation
from runtime.host.std_streams import colour_enabled, notify
from runtime.inference.stats import FinishReason
from runtime.terminal import schema_notes
from runtime.terminal.answer_view import AnswerView, Style
from runtime.units import counted

if TYPE_CHECKING:
    from runtime.dialogue.survival import Life
    from runtime.media.kinds import Media


def answer_once(
    session: ChatSession, question: str, media: Sequence[Media], life: Life | None
) -> None:
    """Print the answer to one question, about `media`, on stdout.

    After the loss of a device, the next `life` goes on where it was.
    """
    written = ""
    conversation = session.conversation
    if note := schema_notes.before(conversation.options):
        notify(note)
    view = AnswerView(sys.stdout, Style(colour_enabled(session.options.color)))
    left = life.left if life else None
    if left and left.question:
        conversation.turns[:] = left.turns
        answer = conversation.go_on(left.written)
    else:
        answer = conversation.ask(question, media)
    for delta in answer:
        if not session.first_token_s:
            session.first_token_s = time.perf_counter() - START
            view.go_on(conversation.taken_over)
        written = delta.content or written
        view.write(delta)
    view.close()
    if not written.endswith("\n"):
        sys.stdout.write("\n")
    sys.stdout.flush()
    _explain_emptiness(conversation)
    if conversation.grounding:
        from runtime.terminal import sources  # most programs have no documents

        for line in sources.lines(conversation):
            print(line, file=sys.stderr)
    if note := schema_notes.after(conversation.options, _answer_of(conversation)):
        notify(note)
    if session.options.stats:
        notify(conversation.stats.line())


def _answer_of(conversation: Conversation) -> str:
    return str(conversation.turns[-1]["content"])


def _explain_emptiness(conversation: Conversation) -> None:
    """Note why the answer is empty, if it is."""
    if _answer_of(conversation):
        return
    options = conversation.options
    if conversation.stats.reason is FinishReason.LENGTH:
        why = f"it may have {counted(options.n_predict, 'token')} (-n)"
    elif conversation.stats.stopped_by:
        why = f"it began with the stop string {conversation.stats.stopped_by!r}"
    elif options.grammar or options.json_schema:
        why = "the grammar or schema let the model end it at once"
    else:
        why = "the model ended it at once"
    notify(f"the answer is empty: {why}")
