"""Paths of the engine's shared libraries, found without loading them, and our own loaded."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import sys
from pathlib import Path

from runtime.errors import ModelError

WEIGHTS = "libweights.so"
"""Library compiled from runtime/weights/byte_planes.c, in the folder of the engine's libraries."""
CHAT = "libchat.so"
"""Library compiled from runtime/model/cpp and llama.cpp's, in the same folder."""
RPC = "libggml-rpc.so"
"""Library compiled from runtime/devices/cpp and ggml's, in the same folder."""
RPC_PROTOCOL = "7.0"
"""Of ggml-rpc.h: both sides must have the first number, and a worker no newer second one."""
MEDIA = "libmtmd.so"
"""Library compiled from runtime/model/projector/cpp and llama.cpp's, in the same folder."""
SANDBOX = "libsandbox.so"
"""Library compiled from runtime/sandbox/restriction.c, in the same folder."""
SEARCH = "libsearch.so"
"""Library compiled from runtime/search/search.c, in the same folder."""
FIRST_STAGE = "first-stage"
"""Program compiled from runtime/first_stage, in the same folder; stubs begin with it."""
OWN = (WEIGHTS, CHAT, RPC, MEDIA, SANDBOX, SEARCH, FIRST_STAGE)
REINSTALL = "install the engine with: python -m bundler.engine"


def package_folder() -> Path:
    """Return the folder of the installed llama_cpp package, without importing it.

    Raise ModelError if it is not installed.
    """
    loaded = sys.modules.get("llama_cpp")
    if loaded is not None and loaded.__path__:
        return Path(next(iter(loaded.__path__)))
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("llama-cpp-python is not installed", hint=REINSTALL)
    return Path(spec.submodule_search_locations[0]).absolute()


def library_folder() -> Path:
    """Return the folder of the engine's shared libraries."""
    return package_folder() / "lib"


def wheel_folder(target: str) -> Path | None:
    """Return the folder of the wheel with the runtime for a target; None if it is not installed.

    Beside the stub it holds those of OWN that bundling needs.
    """
    spec = importlib.util.find_spec(f"modelembed_runtime_{target.replace('-', '_')}")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]).absolute()


def load_own(name: str) -> ctypes.CDLL:
    """Load one of OWN; raise ModelError if that fails."""
    try:
        folder = library_folder()
    except ModelError:
        ready = wheel_folder(f"{sys.platform}-{platform.machine()}")
        if ready is None:
            raise
        folder = ready
    try:
        return ctypes.CDLL(str(folder / name))
    except OSError as exc:
        raise ModelError(f"{name} cannot be loaded: {exc}", hint=REINSTALL) from exc
