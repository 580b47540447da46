"""Serving the model as a tool of agents, until they end."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from types import FrameType

import runtime
from runtime.container.bundle_file import Bundle, program_name
from runtime.dialogue.confinement import confine
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.open_backend import has_documents, locate, open_backend, open_documents
from runtime.errors import AppError
from runtime.host.std_streams import notify
from runtime.mcp.opening import Backend, Opening
from runtime.mcp.session import About, Session
from runtime.mcp.tools import offered
from runtime.mcp.wire import Wire
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options

END_SECONDS = 5.0
"""For calls that are ended to notice."""
INSTRUCTIONS = (
    "A language model that runs on this machine. Ask it by the tool `ask`, each question by itself."
)


class _Told(BaseException):
    """That the program is to end."""


def run(bundle: Bundle | None, options: Options, path: Path | None, embedded: bool | None) -> None:
    """Serve until the input ends, SIGTERM or Ctrl-C; raise AppError if the model cannot be opened.

    Agents are answered while the model is being loaded; calls wait for it.
    """
    found = locate(bundle, path, embedded, options, notify)
    opening = Opening()
    about = About(program_name(bundle), runtime.__version__, INSTRUCTIONS)
    documents = has_documents(bundle, options)
    tools = offered(opening, options, _name(found), program_name(bundle), documents=documents)
    session = Session(Wire.of_this_process(), about, tools, options.parallel + options.queue)
    threading.Thread(target=session.serve, daemon=True).start()
    try:
        backend = _opened(found, bundle, options, prewarm=path is None)
    except AppError as exc:
        opening.fail(exc)
        session.wait_for_calls(END_SECONDS)
        raise
    with contextlib.ExitStack() as stack:
        stack.callback(backend.close)
        stack.callback(session.wait_for_calls, END_SECONDS)
        stack.callback(session.cancel)
        opening.succeed(backend)
        _wait(session.ended)


def _opened(
    found: ModelFile | RemoteModel, bundle: Bundle | None, options: Options, *, prewarm: bool
) -> Backend:
    """Return the backend with its documents, in the sandbox."""
    backend = open_backend(found, options, notify)
    try:
        open_documents(backend, bundle, options, notify)
    except BaseException:
        backend.close()
        raise
    if isinstance(backend, LoadedModel) and prewarm:
        backend.prewarm()  # never from an untrusted file
    confine(backend, options, notify)
    return backend


def _name(found: ModelFile | RemoteModel) -> str:
    return found.server.model if isinstance(found, RemoteModel) else found.name


def _wait(ended: threading.Event) -> None:
    """Wait for the end, or for SIGTERM."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _Told

    signal.signal(signal.SIGTERM, end)
    with contextlib.suppress(_Told):
        ended.wait()
