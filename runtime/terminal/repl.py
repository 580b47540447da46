"""Interactive chat: reads questions and slash commands, displays answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TextIO

from runtime.chat_format.answer_reader import Delta
from runtime.dialogue.conversation import Conversation
from runtime.errors import AppError, DeviceLost, UsageError
from runtime.host.interrupts import on_interrupt
from runtime.inference.stats import FinishReason
from runtime.sanitize import shown
from runtime.terminal import schema_notes
from runtime.terminal.answer_view import AnswerView, Style
from runtime.terminal.line_reader import ReadLine
from runtime.terminal.markdown import Markdown

if TYPE_CHECKING:  # most programs have no documents, and take texts alone
    from runtime.retrieval.library import Finding
    from runtime.terminal.attachments import Attachments

HELP = {
    "help": "/help           this list",
    "stats": "/stats          tokens, speed and context of the last answer",
    "clear": "/clear          forget the conversation, keep the system prompt",
    "system": "/system TEXT    use another system prompt and start anew; without TEXT, show it",
    "regen": "/regen          answer the last question again",
    "undo": "/undo           take back the last question and its answer",
    "save": "/save NAME      keep this conversation, with the engine's state, under a name or at a "
    "path",
    "load": "/load NAME      go on with a conversation that was kept",
    "lora": "/lora NAME=X    use an adapter at strength X, none for none; alone, show them",
    "image": "/image FILE     ask about a picture; a file can also be dragged into the terminal",
    "audio": "/audio FILE     ask about a sound; a file can also be dragged into the terminal",
    "sources": "/sources        the passages of the documents that the last answer was made from",
    "find": "/find WORDS     the passages of the documents that fit these words",
    "exit": "/exit, /quit    leave (also Ctrl-D)",
}
"""A line on each command."""
HELP_LORA = "/lora FILE=X    use a LoRA adapter, a GGUF file, at strength X, none for none"
"""In place of the other where there is no adapter yet."""
HELP_END = """
Ctrl-C stops an answer. For several lines, start and end with \"\"\", or end a line with \\."""

FENCE = '"""'


class Lora(Protocol):
    """The part of the LoRA adapters that the chat uses."""

    @property
    def names(self) -> Sequence[str]: ...
    def use(self, text: str) -> None: ...
    def describe(self) -> str: ...


class Store(Protocol):
    """Saves and loads conversations; both methods return a sentence to display."""

    def save(self, name: str) -> str: ...
    def load(self, name: str) -> str: ...


class Finder(Protocol):
    """The part of a library of documents that the chat uses."""

    def find(self, question: str) -> Finding: ...


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
        library: Finder | None = None,
        attachments: Attachments | None = None,
        markdown: bool = False,
    ) -> None:
        """/save and /load need a `store`, /lora needs `lora`, /sources and /find a `library`.

        /image, /audio and files in a line need `attachments`.

        With `markdown`, answers are shown as Markdown.
        """
        self.conversation = conversation
        self.show_stats = show_stats
        self.style = style
        self._markdown = markdown
        self._read_line = read_line
        self._out = out
        self._commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: self._say_all(self._help(lora)),
            "?": lambda _: self._say_all(self._help(lora)),
            "stats": lambda _: self._say(conversation.stats.line()),
            "clear": self._clear,
            "system": self._system,
            "regen": lambda _: self._stream(conversation.regenerate()),
            "undo": self._undo,
        }
        if lora:
            self._commands["lora"] = lambda text: self._use_lora(lora, text)
        if library:
            self._commands["sources"] = self._sources
            self._commands["find"] = lambda words: self._find(library, words)
        self._attachments = attachments
        if attachments:
            for name, kind, file in (
                ("image", "picture", "photo.jpg"), ("audio", "sound", "talk.mp3")
            ):  # fmt: skip
                self._commands[name] = partial(self._attach, attachments, kind, f"/{name} {file}")
        if store:
            self._commands["save"] = lambda name: self._say(store.save(_required_name(name)))
            self._commands["load"] = lambda name: self._load(store, name)

    def run(self, first: str = "") -> None:
        """Answer `first` if given, then each line read, until the end of the input or /exit.

        Raise DeviceLost, after it was said, when the engine can answer nothing any more.
        """
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
            try:
                text = self._without_files(text)
            except AppError as exc:
                self._say(exc.render())
                continue
            command = text.strip()
            if not command:
                continue
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

    def _without_files(self, text: str) -> str:
        """Return the question without the files that were dragged into it, which are attached."""
        name = text.strip()[1:].partition(" ")[0]
        is_command = text.lstrip().startswith("/") and name in self._commands
        if self._attachments is None or is_command or "\n" in text:
            return text
        line = self._attachments.read(text)
        self._say_all(line.notes)
        return line.text

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
        self._attempt(lambda: action(argument))

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something and say why it failed; raise DeviceLost, after which nothing would work."""
        try:
            action()
        except AppError as exc:
            self._say(exc.render())
            if isinstance(exc, DeviceLost):
                raise

    def _answer(self, text: str) -> None:
        media = self._attachments.take() if self._attachments else []
        self._attempt(lambda: self._stream(self.conversation.ask(text, media)))

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
        if self.conversation.grounding:
            from runtime.terminal import sources

            self._say_all(sources.lines(self.conversation))
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

    def _help(self, lora: Lora | None) -> Iterable[str]:
        """Return the list of the commands that there are, and of use."""
        unused = set()
        if self._attachments:
            unused |= set() if self._attachments.sees else {"image"}
            unused |= set() if self._attachments.hears else {"audio"}
        for name, line in HELP.items():
            if name == "lora" and lora and not lora.names:
                line = HELP_LORA
            if name == "exit" or (name in self._commands and name not in unused):
                yield line
        yield HELP_END

    def _attach(self, attachments: Attachments, kind: str, example: str, text: str) -> None:
        """Attach the files that a command names, and answer the question if one follows them."""
        line = attachments.attach(text, kind, example)
        self._say_all(line.notes)
        if line.text:
            self._stream(self.conversation.ask(line.text, attachments.take()))

    def _clear(self, _: str) -> None:
        self.conversation.clear()
        if self._attachments and (dropped := self._attachments.drop()):
            self._say(dropped)
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

    def _sources(self, _: str) -> None:
        from runtime.terminal import sources

        grounding = self.conversation.grounding
        if grounding and grounding.sources:
            self._say_all(sources.whole(grounding.sources))
        else:
            self._say("there is no answer from the documents yet")

    def _find(self, library: Finder, words: str) -> None:
        if not words:
            raise UsageError("words are missing", hint="for example /find rain after:2024-05")
        from runtime.terminal import sources

        found = library.find(words).passages
        self._say_all(sources.found(found) if found else ["nothing was found"])

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

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    def _say(self, text: str) -> None:
        self._out.write(self.style.dim(shown(text)) + "\n")
        self._out.flush()


def _required_name(name: str) -> str:
    """Return `name`; raise UsageError if it is empty."""
    if not name:
        raise UsageError("a name is missing", hint="for example /save holiday, /load holiday")
    return name
