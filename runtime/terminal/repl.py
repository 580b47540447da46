"""Interactive chat: reads questions and slash commands, displays answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TextIO

from runtime.chat_format.answer_reader import Delta
from runtime.dialogue.conversation import Conversation
from runtime.errors import AppError, UsageError
from runtime.host.interrupts import on_interrupt
from runtime.inference.stats import FinishReason
from runtime.sanitize import shown
from runtime.terminal import schema_notes
from runtime.terminal.answer_view import AnswerView, Style
from runtime.terminal.markdown import Markdown

HELP = """\
/help           this list
/stats          tokens, speed and context of the last answer
/clear          forget the conversation, keep the system prompt
/system TEXT    use another system prompt and start anew; without TEXT, show it
/regen          answer the last question again
/undo           take back the last question and its answer
/save NAME      keep this conversation, with the engine's state, under a name or at a path
/load NAME      go on with a conversation that was kept
/lora NAME=X    use an adapter at strength X, none for none; alone, show them
/exit           leave (also Ctrl-D)

Ctrl-C stops an answer. For several lines, start and end with \"\"\", or end a line with \\.
"""

FENCE = '"""'

ReadLine = Callable[[str], str]
"""Displays a prompt and returns a line; raises EOFError at the end of the input, KeyboardInterrupt
at Ctrl-C."""


class Lora(Protocol):
    """The part of the LoRA adapters that the chat uses."""

    def use(self, text: str) -> None: ...
    def describe(self) -> str: ...


class Store(Protocol):
    """Saves and loads conversations; both methods return a sentence to display."""

    def save(self, name: str) -> str: ...
    def load(self, name: str) -> str: ...


class Repl:
    """The read-eval-print loop of a chat."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        read_line: ReadLine,
        out: TextIO,
        style: Style,
        show_stats: bool = False,
        store: Store | None = None,
        lora: Lora | None = None,
        markdown: bool = False,
    ) -> None:
        """/save and /load need a `store`, /lora needs `lora`.

        With `markdown`, answers are shown as Markdown.
        """
        self.conversation = conversation
        self.show_stats = show_stats
        self.style = style
        self._markdown = markdown
        self._read_line = read_line
        self._out = out
        self._commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: self._say(HELP.rstrip()),
            "?": lambda _: self._say(HELP.rstrip()),
            "stats": lambda _: self._say(conversation.stats.line()),
            "clear": self._clear,
            "system": self._system,
            "regen": lambda _: self._stream(conversation.regenerate()),
            "undo": self._undo,
        }
        if lora:
            self._commands["lora"] = lambda text: self._use_lora(lora, text)
        if store:
            self._commands["save"] = lambda name: self._say(store.save(_required_name(name)))
            self._commands["load"] = lambda name: self._load(store, name)

    def run(self, first: str = "") -> None:
        """Answer `first` if given, then each line read, until the end of the input or /exit."""
        if note := schema_notes.before(self.conversation.options):
            self._say(note)
        if first:
            self._answer(first)
        while True:
            try:
                text = self._read()
            except KeyboardInterrupt:
                self._say("Ctrl-D or /exit leaves")
                continue
            except EOFError:
                return
            if not text.strip():
                continue
            command = text.strip()
            if command.startswith("/") and not command.startswith("//") and "\n" not in text:
                name, _, argument = command[1:].strip().partition(" ")
                if name in ("exit", "quit", "bye"):
                    return
                self._command(name, argument.strip())
            else:
                # "//" escapes a question that starts with a slash.
                self._answer(command[1:] if command.startswith("//") else text)

    def _read(self) -> str:
        """Return one question; it can span several lines."""
        line = self._read_line(self.style.prompt)
        if line.strip().startswith(FENCE):
            return self._fenced(line.strip()[len(FENCE) :])
        lines = []
        while line.endswith("\\"):
            lines.append(line[:-1])
            try:
                line = self._read_line(self.style.more)
            except EOFError:
                return "\n".join(lines)
        return "\n".join([*lines, line])

    def _fenced(self, line: str) -> str:
        """Return a question up to its closing fence; `line` is the text after the opening one."""
        lines = []
        while not line.rstrip().endswith(FENCE):
            lines.append(line)
            try:
                line = self._read_line(self.style.more)
            except EOFError:
                line = FENCE  # keep what was typed so far
        lines.append(line.rstrip()[: -len(FENCE)])
        return "\n".join(lines).strip("\n")

    def _command(self, name: str, argument: str) -> None:
        action = self._commands.get(name)
        if action is None:
            self._say(f"there is no command /{name}; /help lists them")
            return
        try:
            action(argument)
        except AppError as exc:
            self._say(exc.render())

    def _answer(self, text: str) -> None:
        try:
            self._stream(self.conversation.ask(text))
        except AppError as exc:
            self._say(exc.render())

    def _stream(self, answer: Iterable[Delta]) -> None:
        """Display the answer as it arrives; Ctrl-C cancels the answer, not the program."""
        view = None
        try:
            with on_interrupt(self.conversation.cancel):
                for delta in answer:
                    view = view or self._new_view()
                    view.write(delta)
        except AppError:
            if view:
                view.close()
                self._out.write("\n")
            raise
        if view:
            view.close()
        stats = self.conversation.stats
        self._out.write("\n")
        if note := schema_notes.after(self.conversation.options, self._last_answer()):
            self._say(note)
        if stats.reason is FinishReason.CANCELLED:
            self._say("stopped")
        elif stats.reason is FinishReason.LENGTH:
            self._say(f"cut after {stats.generated_tokens} tokens (-n)")
        if self.show_stats:
            self._say(stats.line())
        self._out.flush()

    def _last_answer(self) -> str:
        turns = self.conversation.turns
        return str(turns[-1]["content"]) if turns else ""

    def _new_view(self) -> AnswerView:
        """Return a view for an answer that begins now."""
        return AnswerView(
            self._out, self.style, body=Markdown(self._out.write) if self._markdown else None
        )

    def _clear(self, _: str) -> None:
        self.conversation.clear()
        self._say("the conversation starts anew")

    def _load(self, store: Store, name: str) -> None:
        """Load a saved conversation, and display its last question and answer."""
        self._say(store.load(_required_name(name)))
        turns = self.conversation.turns
        last = max((i for i, turn in enumerate(turns) if turn["role"] == "user"), default=0)
        for turn in turns[last:]:
            if turn["role"] == "user":
                self._say(f"> {turn['content']}")
                continue
            view = self._new_view()
            view.write(Delta(turn.get("reasoning_content", ""), turn["content"]))
            view.close()
            self._out.write("\n")
        self._out.flush()

    def _use_lora(self, lora: Lora, text: str) -> None:
        if text:
            lora.use(text)
        self._say(lora.describe())

    def _undo(self, _: str) -> None:
        question = self.conversation.undo()
        self._say(f"taken back: {question}" if question else "there is nothing to take back")

    def _system(self, text: str) -> None:
        if text:
            self.conversation.system = text
            self.conversation.clear()
            self._say("new system prompt; the conversation starts anew")
        else:
            self._say(self.conversation.system or "there is no system prompt")

    def _say(self, text: str) -> None:
        self._out.write(self.style.dim(shown(text)) + "\n")
        self._out.flush()


def _required_name(name: str) -> str:
    """Return `name`; raise UsageError if it is empty."""
    if not name:
        raise UsageError("a name is missing", hint="for example /save holiday, /load holiday")
    return name


def terminal_reader() -> ReadLine:
    """Return a line editor with history, for a terminal."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import ANSI

    session: PromptSession[str] = PromptSession()

    def read(prompt: str) -> str:
        # In raw mode Ctrl-C is a key; a SIGINT that still arrives duplicates an earlier one.
        with on_interrupt(lambda: None):
            return session.prompt(ANSI(prompt), handle_sigint=False)

    return read


def plain_reader(lines: Iterator[str]) -> ReadLine:
    """Return a reader for lines from a pipe, without prompt or editing."""

    def read(_: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line.rstrip("\r\n")

    return read


def reader() -> ReadLine:
    """Return the reader for standard input: a line editor on a terminal, else a plain one."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return terminal_reader()
    return plain_reader(iter(sys.stdin))
