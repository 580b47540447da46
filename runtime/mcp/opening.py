"""Opening: the model while it is being loaded, which calls wait for."""

from __future__ import annotations

import threading

from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.loaded_model import LoadedModel
from runtime.errors import AppError, ModelError

Backend = LoadedModel | RemoteModel


class Opening:
    """What answers, as soon as it can."""

    def __init__(self) -> None:
        self._backend: Backend | None = None
        self._error: AppError | None = None
        self._ended = threading.Event()

    def succeed(self, backend: Backend) -> None:
        """Let calls go on."""
        self._backend = backend
        self._ended.set()

    def fail(self, error: AppError) -> None:
        """Let calls fail."""
        self._error = error
        self._ended.set()

    def backend(self) -> Backend:
        """Wait for the backend; raise AppError if it cannot be opened."""
        self._ended.wait()
        if self._backend is None:
            raise self._error or ModelError("the model is not loaded")
        return self._backend
