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
import types
from pathlib import Path
from typing import Any

from runtime.errors import ModelError
from runtime.host.interrupts import interrupted, interrupts_held
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


class Log:
    """The engine's log: kept back, or shown on stderr, never mixed into the answer."""

    def __init__(self) -> None:
        self.verbose = False
        self.recent: collections.deque[str] = collections.deque(maxlen=60)
        self._callback = api.llama_log_callback(self._receive)
        api.llama_log_set(self._callback, ctypes.c_void_p())

    def _receive(self, level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace")
        if level >= WARN:
            self.recent.append(line)
        if self.verbose:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                sys.stderr.write(line)
                sys.stderr.flush()

    def last_error(self) -> str:
        """Return the most telling of the recent lines, without the function's name."""
        lines = "".join(self.recent).strip().splitlines()
        for line in reversed(lines):
            # The outermost lines only say that loading failed; the cause stands before them.
            if "failed to load model" in line and "error loading model" not in line:
                continue
            return line.split(": ", 1)[-1].removeprefix("error loading model: ").strip()
        return ""


log = Log()


def load_variant(path: Path) -> None:
    """Register one CPU backend library with the engine; raise ModelError if it refuses."""
    load = api._lib.ggml_backend_load
    load.restype = ctypes.c_void_p
    load.argtypes = (ctypes.c_char_p,)
    with interrupts_held():
        loaded = load(os.fsencode(path))
    if not loaded:
        raise ModelError(
            f"the CPU library {path.name} cannot be used: "
            f"{log.last_error() or 'the engine refuses it'}",
            hint="leave out --cpu, or name another variant",
        )


def load_model(file: int, parameters: Any) -> Any:
    """Load the GGUF that a `FILE*` stands at; Ctrl-C ends that at the next tensor.

    Return the engine's handle, null where it refuses.
    """
    # Called before every tensor: the engine gives up when it is told False.
    callback = api.llama_progress_callback(lambda done, _: not interrupted())
    parameters.progress_callback = callback
    with interrupts_held():
        return api.llama_model_load_from_file_ptr(file, parameters)


def start() -> None:
    """Initialise the engine; call after the backend is registered."""
    with interrupts_held():
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
