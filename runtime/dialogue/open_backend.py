"""Open a backend: the model, loaded here, or a remote server where that fails.

Whether and when the remote server steps in is decided here, for terminal and server alike.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime.container.bundle_file import Bundle
from runtime.dialogue import remote_client
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.remote_model import RemoteModel
from runtime.errors import AppError, UsageError
from runtime.model import loader, model_file
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options

Notify = Callable[[str], None]
Opened = TypeVar("Opened")


def locate(
    bundle: Bundle | None,
    path: Path | None,
    embedded: bool | None,
    options: Options,
    notify: Notify,
) -> ModelFile | RemoteModel:
    """Return the model to use: the file `path`, or the one in `bundle`; not loaded yet.

    Raise AppError where there is none, and no remote server to ask instead.
    """
    return _or_remote(lambda: model_file.choose(bundle, path, embedded), options, notify)


def decompressed(
    found: ModelFile | RemoteModel, options: Options, notify: Notify
) -> ModelFile | RemoteModel:
    """Return `found` with its model decompressed, for processes that are to share it."""
    if isinstance(found, RemoteModel):
        return found
    return _or_remote(lambda: loader.decompressed(found, options, notify), options, notify)


def open_backend(
    found: ModelFile | RemoteModel,
    options: Options,
    notify: Notify,
    announce: Notify | None = None,
) -> LoadedModel | RemoteModel:
    """Load `found`, or return the remote server that answers instead; raise AppError if none can.

    `announce`, or else `notify`, is told when a remote server steps in.
    """
    if isinstance(found, RemoteModel):
        return found
    return _or_remote(lambda: LoadedModel(found, options, notify), options, announce or notify)


def _or_remote(
    step: Callable[[], Opened], options: Options, notify: Notify
) -> Opened | RemoteModel:
    """Return what `step` returns, or the remote model where that fails, and notify the user.

    Raise the AppError of `step` where there is no server to ask, or the command line is wrong:
    nobody's slip may send questions away from this machine. Raise UsageError where the server
    could not answer as it is asked to: free text in place of JSON would be worse than none.
    """
    server = remote_client.configured(options)
    try:
        return step()
    except UsageError:
        raise
    except AppError as exc:
        if server is None:
            raise
        if obstacle := server.obstacle:
            raise UsageError(
                f"{exc.problem}; and the fallback cannot answer instead: {obstacle.problem}",
                hint=obstacle.hint,
            ) from exc
        notify(server.notice(exc))
        return RemoteModel(server, options)
