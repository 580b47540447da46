"""Save the running conversation and open saved ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.container.prefix_state import difference
from runtime.dialogue import session_file
from runtime.dialogue.chat_template import Message
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.session_file import SessionFile
from runtime.errors import ModelError, SessionError
from runtime.host import app_dirs
from runtime.inference.scheduler import Scheduler
from runtime.inference.stats import Stats
from runtime.units import counted, gigabytes


class SessionStore:
    """Knows where conversations are kept, and whose state fits this engine."""

    def __init__(
        self,
        conversation: Conversation,
        engine: Scheduler,
        key: Callable[[], dict[str, str]],
        notify: Callable[[str], None],
    ) -> None:
        """`key` says what a state must have been computed with; it is asked when that counts."""
        self._conversation = conversation
        self._engine = engine
        self._key = key
        self._notify = notify
        self._own: set[Path] = set()
        """Where this very conversation was saved, or opened: there it may be saved again."""

    def save(self, name: str) -> str:
        """Save the conversation under a name or at a path; return a sentence about it.

        Raise SessionError where another file, or another conversation, is there.
        """
        path = place(name)
        talk = self._conversation
        if not talk.turns:
            raise SessionError("there is nothing to save yet", hint="ask something first")
        tokens, state = self._engine.snapshot(talk.prompt().tokens)
        turns = [{"role": turn["role"], "content": turn["content"]} for turn in talk.turns]
        SessionFile(talk.system, turns, self._key(), tokens, state).write(
            path, replace=_place_of(path) in self._own
        )
        self._own.add(_place_of(path))
        return f"saved to {path} ({_questions(talk.turns)}, {gigabytes(path.stat().st_size)})"

    def load(self, name: str) -> str:
        """Go on with a saved conversation; return a sentence about it.

        A state that does not fit is refused, and the text opened all the same.
        """
        path = place(name)
        found = session_file.read(path)
        refusal = self._refusal(found)
        if not refusal and found.state:
            try:
                self._engine.load_state(found.state, found.tokens)
            except ModelError as exc:
                refusal = exc.problem
        self._own.add(_place_of(path))
        talk = self._conversation
        talk.system = found.system
        talk.turns[:] = found.turns
        used = len(talk.prompt().tokens)
        talk.stats = Stats(context_used=used, context_size=self._engine.context_size)
        if refusal:
            self._notify(f"{path}: {refusal}; its text is opened, and will be read anew")
        return f"opened {path} ({_questions(found.turns)})"

    def _refusal(self, found: SessionFile) -> str:
        return found.flaw or difference(found.key, self._key())


def place(name: str) -> Path:
    """Return the file that a name stands for: a path as it is, a bare name in the data folder."""
    path = Path(os.path.expanduser(name))  # a user whom nobody knows is part of a file's name
    if len(path.parts) > 1 or path.suffix:
        return path
    return app_dirs.data() / f"{name}.conversation"


def _place_of(path: Path) -> Path:
    """Return the one path by which a file is known, whatever links lead to it."""
    return path.absolute().parent.resolve() / path.name


def _questions(turns: Sequence[Message]) -> str:
    return counted(sum(turn["role"] == "user" for turn in turns), "question")
