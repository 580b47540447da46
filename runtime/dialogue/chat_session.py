"""Chat session: a conversation, the backend that answers it, and the store that saves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runtime.dialogue.conversation import Conversation
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.session_disk import Disk, OwnDisk
from runtime.dialogue.session_store import SessionStore
from runtime.inference.lora import Lora

if TYPE_CHECKING:
    from runtime.retrieval.grounding import Grounder


class ChatSession:
    """One conversation with a local model, or with a remote one as the fallback."""

    def __init__(
        self,
        backend: LoadedModel | RemoteModel,
        notify: Callable[[str], None],
        disk: Disk | None = None,
    ) -> None:
        """Start an empty conversation, to be saved on `disk`; `notify` gets notes for the user."""
        self.backend = backend
        self.options = backend.options
        self.grounder: Grounder | None = (
            backend.grounder if isinstance(backend, LoadedModel) else None
        )
        """Finds passages of the documents; None without any, or with a remote server."""
        self.conversation = Conversation(backend.answerer, backend.options, notify, self.grounder)
        self.first_token_s = 0.0
        """Seconds from the start of the program's own code to the first token."""
        self.store: SessionStore | None = None
        """Saves and loads the conversation; None with a remote server."""
        self.lora: Lora | None = None
        """The LoRA adapters; None with a remote server."""
        if isinstance(backend, LoadedModel):
            self.store = SessionStore(
                self.conversation, backend.scheduler, backend.state_key, notify, disk or OwnDisk()
            )
            self.lora = backend.lora

    def report(self) -> dict[str, Any]:
        """Return the costs of the run and of its last answer, in seconds and bytes."""
        costs = self.backend.report(self.conversation.stats)
        return {**costs, "first_token_s": self.first_token_s}
