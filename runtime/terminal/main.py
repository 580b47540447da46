"""Run of the program in a terminal or pipe: an interactive chat, or one answer."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from runtime import START
from runtime.container import prefix_state
from runtime.container.bundle_file import Bundle, program_name
from runtime.dialogue.chat_session import ChatSession
from runtime.dialogue.confinement import confine
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.open_backend import locate, open_backend
from runtime.dialogue.remote_model import RemoteModel
from runtime.errors import UsageError
from runtime.host.interrupts import on_interrupt
from runtime.host.std_streams import colour_enabled, notify
from runtime.host.user_files import exists
from runtime.inference.stats import FinishReason
from runtime.model import repacking
from runtime.model.model_file import ModelFile
from runtime.options.escapes import unescaped
from runtime.options.registry import Options
from runtime.sanitize import plain, shown
from runtime.terminal import completion, run_report, schema_notes
from runtime.terminal.answer_view import AnswerView, Style
from runtime.units import amount, counted


@dataclass(frozen=True)
class Question:
    """What the user asks, or gives to be continued."""

    typed: str
    """On the command line."""
    piped: str = ""
    """On standard input."""

    @property
    def text(self) -> str:
        """The whole question."""
        return "\n\n".join(part for part in (self.typed, self.piped) if part)


@dataclass(frozen=True)
class Raw:
    """How a text is continued without the chat template; None leaves it to what the text is."""

    wanted: bool | None = None
    escape: bool = True
    """Whether escapes such as \\n in what was typed are read."""
    show_prompt: bool | None = None

    def text(self, question: Question) -> str:
        """Return the text to continue."""
        typed = unescaped(question.typed) if self.escape else question.typed
        return typed + question.piped


def run(
    bundle: Bundle | None,
    options: Options,
    question: Question,
    interactive: bool,
    path: Path | None,
    embedded: bool | None,
    report: Path | None,
    raw: Raw,
    *,
    weigh: bool = False,
) -> None:
    """Open the backend and answer `question`, or chat; write the costs to `report` if given.

    With `weigh`, the weights are repacked for one answer only if that pays.
    """
    if report:
        run_report.require_free(report)  # before the answer, which may take long
    with contextlib.ExitStack() as stack:
        errands = None
        if options.sandbox and (interactive or options.session or report):
            from runtime.terminal.errands import Errands  # most answers need none

            errands = Errands(bundle, report)
            stack.callback(errands.close)
        found = locate(bundle, path, embedded, options, notify)
        if weigh and not interactive and isinstance(found, ModelFile):
            options = _weighed(found, options, question)
        backend = open_backend(found, options, notify)
        stack.callback(backend.close)
        confine(backend, options, notify)
        if not interactive and _is_raw(backend, question, raw):
            costs = _complete(backend, question, raw)
        else:
            session = ChatSession(backend, notify, errands.disk if errands else None)
            if session.lora and errands:
                session.lora.open_file = errands.open_adapter
            saved = _resume(session, bundle, path)
            if interactive:
                _chat(session, _title(backend, bundle, path), question.text)
            else:
                _answer_once(session, question.text)
            if saved and session.store and session.conversation.turns:
                notify(session.store.save(saved))
            costs = session.report()
        if report and errands:
            errands.write_report(costs)
        elif report:
            run_report.write(report, costs)


def _weighed(found: ModelFile, options: Options, question: Question) -> Options:
    """Return the options with `repack` as it is better for one answer; say why with -v."""
    verdict = repacking.for_one_answer(found, options, question.text)
    if options.verbose:
        notify(verdict.reason)
    return dataclasses.replace(options, repack=verdict.repack)


def _is_raw(backend: LoadedModel | RemoteModel, question: Question, raw: Raw) -> bool:
    """Return whether the text is given to the model as it is; notify the user if he did not say."""
    if raw.wanted is not None or isinstance(backend, RemoteModel):
        return bool(raw.wanted)
    if not backend.has_template:
        notify("the model has no chat template: it continues the text (--no-raw asks it instead)")
        return True
    if completion.is_formatted(raw.text(question), backend.model):
        notify(
            "the prompt has turns written out: it is given to the model as it is (--no-raw puts it "
            "into the chat template)"
        )
        return True
    return False


def _complete(backend: LoadedModel | RemoteModel, question: Question, raw: Raw) -> dict[str, Any]:
    """Print the completion of the text; return the costs."""
    if isinstance(backend, RemoteModel):
        raise UsageError(
            "the model cannot be loaded, and the fallback server does not continue texts",
            hint="leave out --raw",
        )
    options = backend.options
    if options.session:
        raise UsageError("a completion is no conversation to be saved", hint="leave out --session")
    style = Style(colour_enabled(options.color))
    show = raw.show_prompt
    if show is None:
        show = bool(raw.wanted) or style.colour
    text = raw.text(question)
    stats, first_token_s = completion.complete(backend, text, style=style, show_prompt=show)
    return {**backend.report(stats), "first_token_s": first_token_s}


def _resume(session: ChatSession, bundle: Bundle | None, path: Path | None) -> str:
    """Load the conversation that --session names, or else the prewarmed state.

    Return the path to save the conversation to at the end, empty for none.
    """
    options, backend = session.options, session.backend
    if not isinstance(backend, LoadedModel):
        return ""
    saved = Path(options.session) if options.session else None
    if saved and session.store and exists(saved):
        notify(session.store.load(str(saved.absolute())))
    elif path is None:  # a state is loaded from this executable only, never from an untrusted file
        backend.prewarm()
    elif bundle and prefix_state.section_of(bundle) and (options.stats or options.verbose):
        notify("the prewarmed beginning is not used: another model was given")
    return str(saved.absolute()) if saved else ""


def _title(backend: LoadedModel | RemoteModel, bundle: Bundle | None, path: Path | None) -> str:
    """Return the title line of the chat: the model and its size, or the fallback server."""
    if isinstance(backend, RemoteModel):
        where = f"{backend.server.model} at {backend.server.base_url}"
        return plain(f"{program_name(bundle)} · FALLBACK: {where}")
    name = backend.file.name if path else program_name(bundle)
    return plain(f"{name} · {amount(backend.model.parameters)} parameters")


def _answer_once(session: ChatSession, question: str) -> None:
    """Print the answer to one question on stdout."""
    written = ""
    conversation = session.conversation
    if note := schema_notes.before(conversation.options):
        notify(note)
    view = AnswerView(sys.stdout, Style(colour_enabled(session.options.color)))
    for delta in conversation.ask(question):
        if not session.first_token_s:
            session.first_token_s = time.perf_counter() - START
        written = delta.content or written
        view.write(delta)
    view.close()
    if not written.endswith("\n"):
        sys.stdout.write("\n")
    sys.stdout.flush()
    _explain_emptiness(conversation)
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


def _chat(session: ChatSession, title: str, question: str) -> None:
    """Chat until the user leaves; `question` is answered first, if there is one."""
    # Here, so that one answer need not wait for the editor and the highlighter.
    from runtime.terminal.repl import Repl, reader

    options = session.options
    style = Style(colour_enabled(options.color))
    read_line = reader()
    on_terminal = sys.stdin.isatty()
    # The fallback is always announced, even without a terminal.
    if on_terminal or isinstance(session.backend, RemoteModel):
        click.echo(style.dim(title))
    if on_terminal:
        click.echo(style.dim("/help lists the commands, Ctrl-D leaves"))
    if options.greeting:
        click.echo(shown(options.greeting))
    repl = Repl(
        session.conversation,
        read_line=read_line,
        out=sys.stdout,
        style=style,
        show_stats=options.stats,
        store=session.store,
        lora=session.lora,
        markdown=style.colour and options.markdown,
    )
    # On a terminal Ctrl-C never ends the chat; Ctrl-D and /exit do.
    with on_interrupt(lambda: None) if on_terminal else contextlib.nullcontext():
        repl.run(question)
