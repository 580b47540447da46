"""Backend selection: load the model, or fall back to a remote server if that fails.

The only place that decides about the fallback, and what is opened for a backend beside the model,
for the terminal and the server.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runtime.container.bundle_file import Bundle
from runtime.dialogue.conversation import grounds
from runtime.dialogue.fallback import remote_client
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.loaded_model import LoadedModel
from runtime.errors import AppError, UsageError
from runtime.model import loader, model_file
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options

Notify = Callable[[str], None]
Opened = TypeVar("Opened")
DOCUMENTS = "documents"
"""The kind of their section; what reads it is loaded only where there is one."""


def locate(
    bundle: Bundle | None,
    path: Path | None,
    embedded: bool | None,
    options: Options,
    notify: Notify,
) -> ModelFile | RemoteModel:
    """Return the model to use, not loaded yet: the file `path`, or the one in `bundle`.

    Raise AppError if there is none, and no fallback server is configured.
    """

    def find() -> ModelFile:
        return model_file.with_projector(model_file.choose(bundle, path, embedded), options)

    return _or_remote(find, options, notify)


def shared(
    found: ModelFile | RemoteModel, options: Options, notify: Notify
) -> ModelFile | RemoteModel:
    """Return `found` as the worker processes share it: decompressed, and planned for all."""
    if isinstance(found, RemoteModel):
        return found

    def prepare() -> ModelFile:
        return loader.decompressed(found.planned_for(options, options.workers), options, notify)

    return _or_remote(prepare, options, notify)


def open_backend(
    found: ModelFile | RemoteModel,
    options: Options,
    notify: Notify,
    announce: Notify | None = None,
) -> LoadedModel | RemoteModel:
    """Load `found`, or return the fallback server; raise AppError if neither is possible.

    `announce` (default: `notify`) is called with a note if the fallback is used.
    """
    if isinstance(found, RemoteModel):
        return found
    return _or_remote(lambda: LoadedModel(found, options, notify), options, announce or notify)


def _or_remote(
    step: Callable[[], Opened], options: Options, notify: Notify
) -> Opened | RemoteModel:
    """Return the result of `step`, or the remote model if it fails, with a note to the user.

    Raise the AppError of `step` if no fallback is configured, or if it is a UsageError: a mistake
    on the command line must not send questions away from this machine. Raise UsageError if the
    server cannot do what the options ask for: free text instead of JSON would be worse than no
    answer.
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


def has_documents(bundle: Bundle | None, options: Options) -> bool:
    """Return whether there are documents to answer from: those of `options`, or in `bundle`."""
    sections = bundle.manifest.sections if bundle else ()
    return bool(options.docs) or any(section.kind == DOCUMENTS for section in sections)


def open_documents(
    backend: LoadedModel | RemoteModel,
    bundle: Bundle | None,
    options: Options,
    notify: Notify,
) -> None:
    """Let the model answer from the documents of `options` or `bundle`, if there are any.

    A fallback server is given none of them. Raise AppError if they cannot be read.
    """
    if not has_documents(bundle, options):
        return
    if isinstance(backend, RemoteModel):
        notify(f"the documents stay here: {backend.server.base_url} answers without them")
        return
    from runtime.retrieval.helpers import Helpers, open_helpers  # most programs have no documents
    from runtime.retrieval.opening import open_library

    try:
        helpers = open_helpers(bundle, options)
    except AppError as exc:
        notify(f"documents are found by their words alone: {exc.problem}")
        helpers = Helpers()
    try:
        library = open_library(bundle, options, notify, helpers.embedder, helpers.ranker)
    except BaseException:
        helpers.close()
        raise
    if library:
        backend.use_documents(library, helpers)
    if options.passages and not grounds(options):
        notify("the documents are not used: a grammar or schema leaves no room for citations")
