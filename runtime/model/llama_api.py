"""The one module that imports llama_cpp: its C API, its libraries, its log.

Only the ctypes signatures are taken. The package's own `__init__` would pull in numpy and more,
which costs a fifth of a second at start and 30 MB in the executable.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import importlib.machinery
import os
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
    # Both would make the engine load libraries from wherever they point.
    os.environ.pop("LLAMA_CPP_LIB_PATH", None)
    os.environ.pop("GGML_BACKEND_PATH", None)
    try:
        import llama_cpp.llama_cpp as module
    except (ImportError, OSError, RuntimeError, FileNotFoundError) as exc:
        raise ModelError(f"the engine cannot be loaded: {exc}", hint=REINSTALL) from exc
    return module


api: Any = _import_api()
"""The ctypes functions and structures of llama.h, as llama_cpp.llama_cpp has them."""


WARN = 3
"""GGML_LOG_LEVEL_WARN of ggml.h; errors, and what continues a line, are above it."""


NO_REASON = "no reason given"


class CapturedLog:
    """The warnings and errors that llama.cpp logged during one call."""

    def __init__(self) -> None:
        self.lines: collections.deque[str] = collections.deque(maxlen=60)

    @property
    def reason(self) -> str:
        """Return the most telling of the lines, without the function's name; empty for none."""
        for line in reversed("".join(self.lines).strip().splitlines()):
            # The outermost lines only say that loading failed; the cause stands before them.
            if "failed to load model" in line and "error loading model" not in line:
                continue
            return line.split(": ", 1)[-1].removeprefix("error loading model: ").strip()
        return ""


class Log:
    """The engine's log: captured by whoever calls it, or shown on stderr; never in the answer."""

    def __init__(self) -> None:
        self.verbose = False
        self._own = threading.local()
        self._captures: list[CapturedLog] = []
        self._callback = api.llama_log_callback(self._receive)
        api.llama_log_set(self._callback, ctypes.c_void_p())

    @contextlib.contextmanager
    def captured(self) -> Iterator[CapturedLog]:
        """Collect what is logged by a call from this thread.

        Lines of threads that capture nothing, such as the engine's own, go to everybody who does.
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
        if level >= WARN:
            own = getattr(self._own, "capture", None)
            for capture in [own] if own else [*self._captures]:
                capture.lines.append(line)
        if self.verbose:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                sys.stderr.write(line)
                sys.stderr.flush()


log = Log()


@contextlib.contextmanager
def native_call() -> Iterator[CapturedLog]:
    """Call into llama.cpp: Ctrl-C waits until it returns, and its complaints are captured."""
    with log.captured() as capture, interrupts_deferred():
        yield capture


def load_variant(path: Path) -> None:
    """Register one CPU backend library with the engine; raise ModelError if it refuses."""
    load = api._lib.ggml_backend_load
    load.restype = ctypes.c_void_p
    load.argtypes = (ctypes.c_char_p,)
    with native_call() as call:
        loaded = load(os.fsencode(path))
    if not loaded:
        raise ModelError(
            f"the CPU library {path.name} cannot be used: {call.reason or 'the engine refuses it'}",
            hint="leave out --cpu, or name another variant",
        )


class ModelStream(Protocol):
    """A C `FILE*` that stands at a GGUF."""

    @property
    def pointer(self) -> int: ...
    def abort_when(self, asked: Callable[[], bool]) -> None: ...


def load_model(file: ModelStream, parameters: Any) -> tuple[Any, str]:
    """Load the GGUF that `file` stands at; Ctrl-C ends that at the next tensor.

    Return the engine's handle, null where it refuses, and then its reason.
    """
    with log.captured() as capture, interrupts_deferred() as deferral:
        file.abort_when(lambda: deferral.pending)
        # Called before every tensor: the engine gives up when it is told False.
        callback = api.llama_progress_callback(lambda done, _: not deferral.pending)
        parameters.progress_callback = callback
        handle = api.llama_model_load_from_file_ptr(file.pointer, parameters)
    return handle, capture.reason


def start() -> None:
    """Initialise the engine; call after the backend is registered."""
    with interrupts_deferred():
        api.llama_backend_init()


def schema_to_grammar(schema: str) -> str:
    """Return the grammar that the library's converter makes of a JSON schema."""
    from llama_cpp import llama_grammar

    # The library's own rule lets line breaks and the like through, which JSON does not.
    escapes = r'["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F]'
    rule = rf'[^"\\\x7F\x00-\x1F] | "\\" ({escapes})'
    llama_grammar.PRIMITIVE_RULES["char"] = llama_grammar.BuiltinRule(rule)
    return str(llama_grammar.json_schema_to_gbnf(schema))


def abort_flag(context: Any) -> Any:
    r"""Return a byte; while it is 1, the context gives up what it is computing.

    The engine asks at every node of its graph. A callback in Python would take the interpreter's
    lock each time; libc's strlen takes none, and says 1 of the text "\1" and 0 of "".
    """
    text = (ctypes.c_bool * 2)(False, False)
    callback = ctypes.cast(ctypes.CDLL(None).strlen, api.ggml_abort_callback)
    api.llama_set_abort_callback(context, callback, ctypes.addressof(text))
    flag = ctypes.c_bool.from_buffer(text)
    return flag
