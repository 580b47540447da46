"""One run of the program with a model: a single answer, or a chat."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import click

from runtime import START
from runtime.container import prefix_state
from runtime.container.bundle_file import Bundle, program_name
from runtime.dialogue import remote_client
from runtime.dialogue.chat_session import Session
from runtime.dialogue.conversation import Dialogue
from runtime.dialogue.remote_client import Fallback
from runtime.host import interrupts, std_streams
from runtime.host.files import exists
from runtime.host.std_streams import notify
from runtime.model.model_file import choose
from runtime.options.registry import Options
from runtime.sanitize import plain
from runtime.terminal import run_report as reports
from runtime.terminal.answer_view import AnswerView, Style
from runtime.terminal.repl import Repl, reader
from runtime.units import amount, counted


def run(
    bundle: Bundle | None,
    options: Options,
    question: str,
    interactive: bool,
    path: Path | None,
    embedded: bool | None,
    report: Path | None,
) -> None:
    """Load the model and answer `question`, or chat; write the costs to `report` if given."""
    if report:
        reports.require_free(report)  # now: the answer may take long
    session = remote_client.instead_of(
        lambda: Session(choose(bundle, path, embedded), options, notify),
        remote_client.of(options),
        notify,
    )
    if isinstance(session, Fallback):
        costs = _elsewhere(session, options, question, interactive, program_name(bundle))
        if report:
            reports.write(report, costs)
        return
    try:
        kept = options.session and Path(options.session)
        if kept and exists(kept):
            notify(session.keeper.load(str(kept.absolute())))
        elif path is None:  # a state is taken from this very file alone, never from a stranger's
            session.prewarm()
        elif bundle and prefix_state.section_of(bundle) and (options.stats or options.verbose):
            notify("the prewarmed beginning is not used: another model was given")
        if interactive:
            name = session.source.name if path else program_name(bundle)
            _interactive(session, name, question)
        else:
            _one_shot(session, question)
        if kept and session.conversation.turns:
            notify(session.keeper.save(str(kept.absolute())))
        if report:
            reports.write(report, session.report())
    finally:
        session.close()


def _elsewhere(
    remote: Fallback, options: Options, question: str, interactive: bool, name: str
) -> dict[str, Any]:
    """Let another server answer, and say so; return what it cost."""
    conversation = remote_client.RemoteConversation(remote, options)
    style = Style(std_streams.colourful(options.color))
    if interactive:
        where = f"{remote.model} at {remote.base_url}"
        click.echo(style.dim(plain(f"{name} · FALLBACK: {where}")))
        chat = Repl(
            conversation,
            read_line=reader(),
            out=sys.stdout,
            style=style,
            show_stats=options.stats,
            markdown=style.colour and options.markdown,
        )
        chat.run(question)
    else:
        for piece in conversation.ask(question):
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        _explain_nothing(conversation)
    return conversation.report()


def _one_shot(session: Session, question: str) -> None:
    """Answer one question on stdout."""
    written = ""
    screen: AnswerView | None = None
    style = Style(std_streams.colourful(session.options.color))
    for piece in session.conversation.ask(question):
        if screen is None:
            session.timing.first_token_s = time.perf_counter() - START
            prompt = session.conversation.opening
            screen = AnswerView(sys.stdout, style, markers=session.markers, prompt=prompt)
        written = piece
        screen.write(piece)
    if screen:
        screen.close()
    if not written.endswith("\n"):
        sys.stdout.write("\n")
    sys.stdout.flush()
    _explain_nothing(session.conversation)
    if session.options.stats:
        notify(session.conversation.stats.line())


def _explain_nothing(conversation: Dialogue) -> None:
    """Say why there is nothing to read, where the answer is empty."""
    if conversation.turns[-1]["content"]:
        return
    options = conversation.options
    if conversation.stats.reason == "length":
        why = f"it may have {counted(options.n_predict, 'token')} (-n)"
    elif conversation.stats.stopped_by:
        why = f"it began with the stop string {conversation.stats.stopped_by!r}"
    elif options.grammar or options.json_schema:
        why = "the grammar or schema let the model end it at once"
    else:
        why = "the model ended it at once"
    notify(f"the answer is empty: {why}")


def _interactive(session: Session, name: str, question: str) -> None:
    """Chat until the user leaves."""
    style = Style(std_streams.colourful(session.options.color))
    read_line = reader()
    if sys.stdin.isatty():
        click.echo(style.dim(f"{plain(name)} · {amount(session.model.parameters)} parameters"))
        click.echo(style.dim("/help lists the commands, Ctrl-D leaves"))
    if session.options.greeting:
        click.echo(session.options.greeting)
    chat = Repl(
        session.conversation,
        read_line=read_line,
        out=sys.stdout,
        style=style,
        show_stats=session.options.stats,
        keeper=session.keeper,
        lora=session.lora,
        markers=session.markers,
        markdown=style.colour and session.options.markdown,
    )
    typed = sys.stdin.isatty()
    # On a terminal Ctrl-C never ends the chat, whatever moment it hits: Ctrl-D and /exit do.
    with interrupts.on_interrupt(lambda: None) if typed else contextlib.nullcontext():
        chat.run(question)
