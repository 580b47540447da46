"""Run of the program in a terminal or pipe: an interactive chat, or one answer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.chat_format.media_parts import media_of
from runtime.container import prefix_state
from runtime.container.bundle_file import Bundle, program_name
from runtime.devices import selection
from runtime.dialogue.chat_session import ChatSession
from runtime.dialogue.confinement import confine
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.open_backend import locate, open_backend, open_documents
from runtime.errors import DeviceLost, UsageError, WorkerLost
from runtime.host.interrupts import on_interrupt
from runtime.host.std_streams import colour_enabled, notify
from runtime.host.user_files import exists
from runtime.model import repacking
from runtime.model.model_file import ModelFile
from runtime.options.escapes import unescaped
from runtime.options.registry import Options
from runtime.sanitize import plain, shown
from runtime.terminal import completion, run_report
from runtime.terminal.answer_view import Style
from runtime.terminal.one_answer import answer_once
from runtime.units import amount

if TYPE_CHECKING:
    from runtime.dialogue.survival import Life
    from runtime.media.kinds import Media
    from runtime.terminal.attachments import Attachments
    from runtime.terminal.errands import Errands


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


@dataclass(frozen=True)
class Task:
    """What the terminal is asked to do: to answer a question, or to chat."""

    bundle: Bundle | None
    options: Options
    question: Question
    interactive: bool
    path: Path | None
    embedded: bool | None
    report: Path | None
    """Where to write the costs, if anywhere."""
    raw: Raw
    media: Sequence[tuple[str, Media]] = ()
    """Pictures and sounds that the question is about, with the names of their files."""
    weigh: bool = False
    """Whether the weights are repacked for one answer only if that pays."""


def run(task: Task) -> None:
    """Open the backend and answer the question, or chat."""
    if task.report:
        run_report.require_free(task.report)  # before the answer, which may take long
    if not (task.options.rpc or selection.may_use_devices(task.options)):
        _run(task)
        return
    from runtime.devices import remote  # most models are computed by the processor here alone
    from runtime.dialogue.survival import survive

    life = survive()
    options = task.options
    if life.number and options.rpc:
        options = replace(options, rpc=remote.usable(options.rpc, notify))
    if life.by_processor:
        options = selection.by_processor(options)
    try:
        _run(replace(task, options=options), life)
    except WorkerLost as exc:
        life.fail(exc)
    except DeviceLost as exc:
        notify(exc.problem)
        life.end(exc)


def _run(task: Task, life: Life | None = None) -> None:
    """Do what `run` does, in a process that may be lost if it has a `life`."""
    bundle, options, question = task.bundle, task.options, task.question
    with contextlib.ExitStack() as stack:
        errands = None
        if options.sandbox and (task.interactive or options.session or task.report):
            from runtime.terminal.errands import Errands  # most answers need none

            errands = Errands(bundle, task.report)
            stack.callback(errands.close)
        found = locate(bundle, task.path, task.embedded, options, notify)
        if task.weigh and not task.interactive and isinstance(found, ModelFile):
            options = _weighed(found, options, question)
        backend = open_backend(found, options, notify)
        stack.callback(backend.close)
        open_documents(backend, bundle, options, notify)
        confine(backend, options, notify)
        if task.media and (task.raw.wanted or isinstance(backend, RemoteModel)):
            raise UsageError(
                "pictures and sounds are asked about in a chat with the model of this program",
                hint="leave out --raw" if task.raw.wanted else "leave out --image and --audio",
            )
        attachments = _attachments(backend, errands, task)
        if not task.interactive and not task.media and _is_raw(backend, question, task.raw):
            costs = _complete(backend, question, task.raw, life)
        else:
            session = ChatSession(backend, notify, errands.disk if errands else None)
            if session.lora and errands:
                session.lora.open_file = errands.open_adapter
            saved = _resume(session, bundle, task.path)
            session.conversation.journal = life
            if task.interactive:
                title = _title(backend, bundle, task.path)
                _chat(session, title, question.text, attachments, life)
            else:
                media = attachments.take() if attachments else []
                answer_once(session, question.text, media, life)
            if saved and session.store and session.conversation.turns:
                notify(session.store.save(saved))
            costs = session.report()
        if task.report and errands:
            errands.write_report(costs)
        elif task.report:
            run_report.write(task.report, costs)


def _attachments(
    backend: LoadedModel | RemoteModel, errands: Errands | None, task: Task
) -> Attachments | None:
    """Return what goes with the next question, and what the user may attach; None for nothing."""
    if isinstance(backend, RemoteModel) or not (task.interactive or task.media):
        return None
    from runtime.media import files  # most answers are about texts alone
    from runtime.terminal.attachments import Attachments

    projector = backend.model.projector
    found = Attachments(
        sees=bool(projector and projector.sees),
        hears=bool(projector and projector.hears),
        open_file=errands.open_media if errands else files.open_file,
    )
    for name, one in task.media:
        found.add(one, name)
    return found


def _weighed(found: ModelFile, options: Options, question: Question) -> Options:
    """Return the options with `repack` as it is better for one answer; say why with -v."""
    verdict = repacking.for_one_answer(found, options, question.text)
    if options.verbose:
        notify(verdict.reason)
    return replace(options, repack=verdict.repack)


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


def _complete(
    backend: LoadedModel | RemoteModel, question: Question, raw: Raw, life: Life | None
) -> dict[str, Any]:
    """Print the completion of the text; return the costs.

    After the loss of a device, the next `life` goes on where it was.
    """
    if isinstance(backend, RemoteModel):
        raise UsageError(
            "the model cannot be loaded, and the fallback server does not continue texts",
            hint="leave out --raw",
        )
    options = backend.options
    if backend.library:
        notify("the documents are not used for a text that is continued")
    if options.session:
        raise UsageError("a completion is no conversation to be saved", hint="leave out --session")
    style = Style(colour_enabled(options.color))
    show = raw.show_prompt
    if show is None:
        show = bool(raw.wanted) or style.colour
    text = raw.text(question)
    left = life.left if life else None
    stats, first_token_s = completion.complete(
        backend,
        text,
        style=style,
        show_prompt=show and not left,
        written=left.written if left else "",
        journal=life,
    )
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


def _chat(
    session: ChatSession,
    title: str,
    question: str,
    attachments: Attachments | None,
    life: Life | None,
) -> None:
    """Chat until the user leaves; `question` is answered first, if there is one.

    After the loss of a machine or device, the next `life` goes on with the conversation.
    """
    # Here, so that one answer need not wait for the editor and the highlighter.
    from runtime.terminal.line_reader import reader
    from runtime.terminal.repl import Repl

    options = session.options
    style = Style(colour_enabled(options.color))
    if life and life.number:
        question = _take_over(session.conversation, attachments, life)
        click.echo(style.dim("the conversation goes on"))
    read_line = reader(life.lines if life else None)
    on_terminal = sys.stdin.isatty()
    # The fallback is always announced, even without a terminal.
    if on_terminal or isinstance(session.backend, RemoteModel):
        click.echo(style.dim(title))
    if on_terminal:
        click.echo(style.dim("/help lists the commands, Ctrl-D leaves"))
    if options.greeting and not (life and life.number):
        click.echo(shown(options.greeting))
    repl = Repl(
        session.conversation,
        read_line=read_line,
        out=sys.stdout,
        style=style,
        show_stats=options.stats,
        store=session.store,
        lora=session.lora,
        library=session.grounder.library if session.grounder else None,
        attachments=attachments,
        markdown=style.colour and options.markdown,
    )
    # On a terminal Ctrl-C never ends the chat; Ctrl-D and /exit do.
    with on_interrupt(lambda: None) if on_terminal else contextlib.nullcontext():
        try:
            repl.run(question)
        except DeviceLost as exc:
            if life is None:
                raise
            life.end(exc)


def _take_over(conversation: Conversation, attachments: Attachments | None, life: Life) -> str:
    """Go on with what the process before has left; return the question that is to be answered."""
    left = life.left
    if left is None:
        return ""
    question = left.question
    if attachments:
        attachments.take()  # those of the command line are in the conversation, or in this question
        for one in media_of(left.turns[-1]) if question else ():
            attachments.add(one)
    conversation.turns[:] = left.turns[:-1] if question else left.turns
    conversation.system = left.system
    return question
