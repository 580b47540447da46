"""ctypes access to llama.cpp: its C API, its libraries, its log.

The only module that imports llama_cpp, and only its ctypes signatures: the package's `__init__`
would import numpy and more, which adds 0.2 seconds to the start and 30 MB to the executable.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import importlib.machinery
import os
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from runtime.errors import ModelError
from runtime.host.interrupts import interrupts_deferred
from runtime.host.library_paths import REINSTALL, package_folder


def _import_api() -> Any:
    folder = package_folder()
    if "llama_cpp" not in sys.modules:
        package = types.ModuleType("llama_cpp")
        package.__path__ = [str(folder)]
        package.__spec__ = importlib.machinery.ModuleSpec("llama_cpp", None, is_package=True)
        sys.modules["llama_cpp"] = package
    # Either would make the engine load libraries from another place.
    os.environ.pop("LLAMA_CPP_LIB_PATH", None)
    os.environ.pop("GGML_BACKEND_PATH", None)
    try:
        import llama_cpp.llama_cpp as module
    except (ImportError, OSError, RuntimeError, FileNotFoundError) as exc:
        raise ModelError(f"the engine cannot be loaded: {exc}", hint=REINSTALL) from exc
    return module


api: Any = _import_api()
"""The functions and structures of llama.h, from llama_cpp.llama_cpp."""


WARN, CONTINUED = 3, 5
"""Of ggml_log_level in ggml.h: ERROR is between them; CONT continues the text before."""
PREFIXES = re.compile(
    r"(?:[\w()]+|error loading model|failed to (?:initialize the context|apply lora adapter)): "
)
"""What stands before a message: the C function that logs it, and what has failed thereby."""

NO_REASON = "no reason given"
ALL_LAYERS = -1
"""What the engine takes for all layers of a model, the output among them."""


class CapturedLog:
    """Warnings and errors that llama.cpp logged during one call: the last 60 of each."""

    def __init__(self) -> None:
        self.lines: collections.deque[str] = collections.deque(maxlen=60)
        """All of them, as they were logged."""
        self._errors: collections.deque[str] = collections.deque(maxlen=60)

    def add(self, level: int, text: str, *, continues: bool) -> None:
        """Take in a text of `level`; it `continues` the one before or begins another."""
        for kept in [self.lines] if level == WARN else [self.lines, self._errors]:
            if continues and kept:
                kept[-1] += text
            else:
                kept.append(text)

    @property
    def reason(self) -> str:
        """Return the first error, else the last warning, in one line; empty if there is none.

        Errors that follow the first are its consequences: the file cannot be read, so the model
        cannot be loaded. The name of the C function is left out.
        """
        return next(filter(None, map(_message, [*self._errors, *reversed(self.lines)])), "")


def _message(logged: str) -> str:
    """Return what was logged in one line, without what stands before the message."""
    text = " ".join(logged.split())
    while found := PREFIXES.match(text):
        text = text[found.end() :]
    return text


class Log:
    """The engine's log: captured per call, and shown on stderr with `verbose`; never on stdout."""

    def __init__(self) -> None:
        self.verbose = False
        self._own = threading.local()
        self._captures: list[CapturedLog] = []
        self.callback = api.llama_log_callback(self._receive)
        """As the engine and its libraries call it."""
        api.llama_log_set(self.callback, ctypes.c_void_p())

    @contextlib.contextmanager
    def captured(self) -> Iterator[CapturedLog]:
        """Yield the log of calls made by this thread inside the context.

        Lines logged by threads without a capture, such as the engine's own, go to every active
        capture.
        """
        outer = getattr(self._own, "capture", None)
        self._own.capture = capture = CapturedLog()
        self._captures.append(capture)
        try:
            yield capture
        finally:
            self._own.capture = outer
            self._captures.remove(capture)

    def _receive(self, level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace")
        continues = level == CONTINUED
        if continues:
            level = getattr(self._own, "level", 0)
        self._own.level = level
        if level >= WARN:
            own = getattr(self._own, "capture", None)
            for capture in [own] if own else [*self._captures]:
                capture.add(level, line, continues=continues)
        if self.verbose:
            with contextlib.suppress(OSError, ValueError):  # stderr was closed
                sys.stderr.write(line)
                sys.stderr.flush()


log = Log()


def media_api() -> Any:
    """Return the functions and structures of mtmd.h, whose library must be there.

    What it logs goes where the engine's log goes. Raise ModelError if it cannot be loaded.
    """
    os.environ.pop("MTMD_CPP_LIB", None)  # it would load another one
    try:
        import llama_cpp.mtmd_cpp as module
    except (ImportError, OSError, RuntimeError, AttributeError) as exc:
        raise ModelError(
            f"the library for pictures and sounds cannot be loaded: {exc}", hint=REINSTALL
        ) from exc
    module.mtmd_helper_log_set(log.callback, None)
    return module


@contextlib.contextmanager
def native_call() -> Iterator[CapturedLog]:
    """Defer Ctrl-C and capture the log during a call into llama.cpp."""
    with log.captured() as capture, interrupts_deferred():
        yield capture


def load_variant(path: Path) -> None:
    """Register a CPU backend library with the engine; raise ModelError if that fails."""
    load_backend(path, "leave out --cpu, or name another variant")


def load_backend(path: Path, cure: str) -> None:
    """Register a backend's library with the engine; raise ModelError with `cure` if that fails."""
    load = api._lib.ggml_backend_load
    load.restype = ctypes.c_void_p
    load.argtypes = (ctypes.c_char_p,)
    with native_call() as call:
        loaded = load(os.fsencode(path))
    if not loaded:
        raise ModelError(
            f"the library {path.name} cannot be used: {call.reason or 'the engine refuses it'}",
            hint=cure,
        )


class ModelStream(Protocol):
    """A C `FILE*` positioned at the start of a GGUF."""

    @property
    def pointer(self) -> int: ...
    def abort_when(self, asked: Callable[[], bool]) -> None: ...


def load_model(
    file: ModelStream, parameters: Any, heard: Callable[[], None] = lambda: None
) -> tuple[Any, str]:
    """Load the GGUF at the position of `file`; Ctrl-C aborts loading at the next tensor.

    `heard` is called at each tensor. Return the `llama_model*`, which the caller owns, or null; and
    the engine's reason if it is null.
    """
    with log.captured() as capture, interrupts_deferred() as deferral:
        file.abort_when(lambda: deferral.pending)

        def go_on(done: float, _: Any) -> bool:
            heard()
            return not deferral.pending

        # Called before every tensor; returning False aborts loading.
        callback = api.llama_progress_callback(go_on)
        parameters.progress_callback = callback
        handle = api.llama_model_load_from_file_ptr(file.pointer, parameters)
    return handle, capture.reason


def start() -> None:
    """Initialise the engine; call it after a backend is registered."""
    with interrupts_deferred():
        api._lib.ggml_set_abort_callback(_abort_callback)
        api.llama_backend_init()


def _say_so(why: str, place: str) -> None:
    error = ModelError(
        f"the engine gave up: {why} ({place})",
        hint="the model may be damaged, or not be made for this engine: download or convert it "
        "again",
    )
    with contextlib.suppress(OSError, ValueError):  # stderr was closed
        sys.stderr.write(f"{error.render()}\n")
        sys.stderr.flush()


class Abort:
    """What is done when the engine is about to end the program."""

    def __init__(self) -> None:
        self.told: Callable[[str, str], object] = _say_so
        """Gets the engine's reason and its place in the source, on any thread."""

    def tell(self, message: bytes) -> None:
        """Pass on a message of the engine's, without a backtrace."""
        place, _, failed = message.decode("utf-8", "replace").partition(": ")
        self.told(" ".join(failed.split()), os.path.basename(place))


abort = Abort()
_abort_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(abort.tell)


def abort_flag(context: Any) -> Any:
    r"""Return a `c_bool`; while it is true, the context aborts what it is computing.

    The caller must keep it alive as long as the context. Any thread may set it. The engine's abort
    callback is called for every node of the graph, where a Python callback would take the GIL each
    time. So libc's strlen is the callback, over two bytes: it returns 1 for "\1" and 0 for "".
    """
    text = (ctypes.c_bool * 2)(False, False)
    callback = ctypes.cast(ctypes.CDLL(None).strlen, api.ggml_abort_callback)
    api.llama_set_abort_callback(context, callback, ctypes.addressof(text))
    flag = ctypes.c_bool.from_buffer(text)
    return flag
