"""A chat session: one conversation over a backend, and where it is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.chat_format.reasoning import Markers
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.remote_model import RemoteModel
from runtime.dialogue.session_store import SessionStore
from runtime.inference.lora import Lora


class ChatSession:
    """A conversation with the model loaded here, or with a remote one in its place."""

    def __init__(self, backend: LoadedModel | RemoteModel, notify: Callable[[str], None]) -> None:
        """Begin an empty conversation; `notify` gets sentences for the user."""
        self.backend = backend
        self.options = backend.options
        self.conversation = Conversation(backend.answerer, backend.options, notify)
        self.first_token_s = 0.0
        """From the start of this program's own code, what was before the first token included."""
        self.store: SessionStore | None = None
        """Saves and loads the conversation; None where a remote server answers."""
        self.lora: Lora | None = None
        """The adapters in use; None likewise."""
        self.markers: Markers | None = None
        """What the model's reasoning stands between, where its template says so."""
        if isinstance(backend, LoadedModel):
            self.store = SessionStore(
                self.conversation, backend.scheduler, backend.state_key, notify
            )
            self.lora = backend.lora
            self.markers = backend.markers

    def report(self) -> dict[str, Any]:
        """Return what the run and its last answer cost, in seconds and bytes."""
        costs = self.backend.report(self.conversation.stats)
        return {**costs, "first_token_s": self.first_token_s}
