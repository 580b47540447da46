"""Attachments: the pictures and sounds that go with the next question of a chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.errors import MediaError, UsageError
from runtime.media import files
from runtime.media.kinds import Media, require_few
from runtime.media.picture import Picture
from runtime.sanitize import plain
from runtime.terminal import dragged
from runtime.units import counted

Open = Callable[[str, str], "int | None"]
"""Opens the file of a picture or sound, as `files.open_file` does; None if there is none."""
TEXTS = "to ask about a text, paste it, or outside of the chat: PROGRAM 'QUESTION' < FILE"
ASK = "what do you want to know about it?"


@dataclass(frozen=True)
class Line:
    """What a typed line is, once the files in it are attached."""

    text: str
    """The question; empty if there were files alone."""
    notes: Sequence[str]
    """What the user is told."""


class Attachments:
    """What is attached so far, and what may be."""

    def __init__(self, *, sees: bool, hears: bool, open_file: Open = files.open_file) -> None:
        """`sees` and `hears` say what the model takes."""
        self.sees, self.hears = sees, hears
        self._open = open_file
        self._waiting: list[Media] = []

    def add(self, media: Media, name: str = "") -> None:
        """Attach a picture or sound of a file; raise MediaError if the model takes none."""
        seen = isinstance(media, Picture)
        if not (self.sees if seen else self.hears):
            what = "this model cannot see pictures" if seen else "this model cannot hear sounds"
            raise MediaError(f"{name}: {what}" if name else what, hint=self._hint)
        require_few(len(self._waiting) + 1)
        self._waiting.append(media)

    def attach(self, text: str, kind: str, example: str) -> Line:
        """Attach the files of a `kind` that a command names; a question may follow them.

        Raise AppError if the first is not there, or one of them cannot be taken.
        """
        if not text:
            raise UsageError("a file is missing", hint=f"for example {example}")
        if (fd := self._open(text, kind)) is not None:  # whatever signs there are in its name
            return Line("", [self._attached(text, fd)])
        notes: list[str] = []
        rest = text
        while rest and (found := self._first(rest, kind, further=bool(notes))):
            name, fd, rest = found
            notes.append(self._attached(name, fd))
        if not notes:
            *_, (name, _) = dragged.leading(text)
            raise MediaError(f"there is no file {name}", hint=f"for example {example}")
        return Line(rest, notes)

    def _first(self, text: str, kind: str, *, further: bool) -> tuple[str, int, str] | None:
        """Return the file that a text begins with, opened, and what follows it; None without one.

        `further` files must have names as such files have them: a question may follow as well.
        """
        for name, rest in dragged.leading(text):
            if further and not name.lower().endswith(files.SUFFIXES):
                continue
            if (fd := self._open(name, kind)) is not None:
                return name, fd, rest
        return None

    def read(self, line: str) -> Line:
        """Attach the files that a line names, as where they were dragged into the terminal.

        Raise MediaError if one of them is there, but cannot be taken, or if the line is nothing but
        the path of a file that cannot.
        """
        if found := self._alone(dragged.alone(line)):
            return found
        taken, notes = [], []
        for one in dragged.files_in(line):
            fd = self._open(one.name, "")
            if fd is None:
                continue
            try:
                notes.append(self._attached(one.name, fd))
            except MediaError:
                if self.sees or self.hears or not dragged.without(line, [one]):
                    raise
                # It may well be asked about as a name.
                notes.append(
                    f"{plain(one.name)} is asked about as text: this model cannot see or hear"
                )
                continue
            if one.dragged:
                taken.append(one)
        text = dragged.without(line, taken) if taken else line
        if taken and not text:
            notes.append(ASK)
        return Line(text, notes)

    def _alone(self, paths: Sequence[str]) -> Line | None:
        """Attach the file that a line is the path of; None if there is none at its `paths`."""
        for path in paths:
            try:
                fd = self._open(path, "")
            except MediaError as exc:
                if path.lower().endswith(files.SUFFIXES):
                    raise
                raise MediaError(exc.problem, hint=f"{exc.hint}; {TEXTS}") from exc
            if fd is not None:
                return Line("", [self._attached(path, fd), ASK])
        if paths and paths[0].lower().endswith(files.SUFFIXES):
            raise MediaError(
                f"there is no file {paths[0]}", hint="look at its name, or drag it in once more"
            )
        return None

    def take(self) -> list[Media]:
        """Return what is attached, and have nothing any more."""
        found, self._waiting = self._waiting, []
        return found

    def drop(self) -> str:
        """Forget what is attached; return a sentence about it, empty if there was nothing."""
        count = len(self.take())
        return f"{counted(count, 'attachment')} left out" if count else ""

    def _attached(self, name: str, fd: int) -> str:
        media = files.read_open(fd, name)
        self.add(media, name)
        return f"attached: {plain(files.in_words(media, name))}"

    @property
    def _hint(self) -> str:
        if self.sees or self.hears:
            return f"it takes {'pictures' if self.sees else 'sounds'} alone"
        return "take a model with a projector: modelembed bundle MODEL --mmproj FILE"
