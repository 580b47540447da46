"""Session store: saves the running conversation and loads saved ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.chat_format.chat_template import Message
from runtime.container.prefix_state import difference
from runtime.dialogue import session_file
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.session_disk import Disk
from runtime.dialogue.session_file import SessionFile
from runtime.errors import AppError, ModelError, SessionError
from runtime.inference.scheduler import Scheduler
from runtime.inference.stats import Stats
from runtime.units import counted, gigabytes


class SessionStore:
    """Saves and loads conversations, with their state if it fits this engine."""

    def __init__(
        self,
        conversation: Conversation,
        engine: Scheduler,
        key: Callable[[], dict[str, str]],
        notify: Callable[[str], None],
        disk: Disk,
    ) -> None:
        """`key` returns what a state depends on; this can change with the LoRA adapters."""
        self._conversation = conversation
        self._engine = engine
        self._key = key
        self._notify = notify
        self._disk = disk

    def save(self, name: str) -> str:
        """Save the conversation under a name or at a path; return a sentence about it.

        Raise SessionError if another file or conversation exists there.
        """
        conversation = self._conversation
        if not conversation.turns:
            raise SessionError("there is nothing to save yet", hint="ask something first")
        tokens, state = self._engine.snapshot(conversation.prompt().tokens)
        turns = [*conversation.turns]
        saved = SessionFile(conversation.system, turns, self._key(), tokens, state)
        path = self._disk.write(name, saved.parts())
        return (
            f"saved to {path} ({_questions(conversation.turns)}, {gigabytes(path.stat().st_size)})"
        )

    def load(self, name: str) -> str:
        """Load a saved conversation; return a sentence about it.

        If its state cannot be used, the text is loaded all the same, with a note. Raise AppError
        if the file cannot be read, or this model cannot go on from it: nothing has changed then.
        """
        path, file = self._disk.open(name)
        with file:
            saved = session_file.parse(file, path, self._disk.is_own)
        used = self._opened(saved)
        error = self._state_error(saved)
        if not error and saved.state:
            try:
                self._engine.load_state(saved.state, saved.tokens)
            except ModelError as exc:
                error = exc.problem
        conversation = self._conversation
        conversation.forget_sources()
        conversation.stats = Stats(context_used=used, context_size=self._engine.context_size)
        if error:
            self._notify(f"{path}: {error}; its text is opened, and will be read anew")
        return f"opened {path} ({_questions(saved.turns)})"

    def _opened(self, saved: SessionFile) -> int:
        """Let the conversation be the saved one; return how many tokens it takes.

        Raise AppError if no prompt can be made of it: the conversation is as it was then.
        """
        conversation = self._conversation
        before = conversation.system, [*conversation.turns]
        conversation.system, conversation.turns[:] = saved.system, saved.turns
        try:
            return len(conversation.prompt().tokens)
        except AppError:
            conversation.system, conversation.turns[:] = before
            raise

    def _state_error(self, saved: SessionFile) -> str:
        """Return why the saved state cannot be used; empty if it can."""
        return saved.state_error or difference(saved.key, self._key())


def _questions(turns: Sequence[Message]) -> str:
    return counted(sum(turn["role"] == "user" for turn in turns), "question")
