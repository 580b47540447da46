"""ctypes access to libggml-rpc: ggml's devices of other machines, and the sessions of a worker."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence

from runtime.devices import backend
from runtime.errors import ModelError
from runtime.host.library_paths import REINSTALL, RPC, library_folder
from runtime.model.llama_api import load_backend


@functools.cache
def _library() -> ctypes.CDLL:
    """Register the backend with the engine, which has no devices of it yet."""
    path = library_folder() / RPC
    load_backend(path, "leave out --rpc")
    library = ctypes.CDLL(str(path))
    library.ggml_backend_rpc_add_server.restype = ctypes.c_void_p
    library.worker_open.restype = ctypes.c_size_t
    return library


def set_patience(seconds: int) -> None:
    """Let a connection made from now on be lost when an answer takes longer; 0 for no limit."""
    _library().rpc_patience(seconds)


def devices_at(endpoint: str) -> Sequence[int]:
    """Return the `ggml_backend_dev_t` of a worker, at an IPv4 address and port.

    The engine ends the program if it cannot be reached, or answers something else.
    """
    registry = _library().ggml_backend_rpc_add_server(endpoint.encode())
    if not registry:
        return ()
    return backend.devices_of(registry)


def open_devices(devices: Sequence[int], threads: int, memory: int) -> None:
    """Open devices of this machine, `ggml_backend_dev_t` pointers, for a session.

    The processor tells that it has so many bytes of memory.
    """
    pointers = (ctypes.c_void_p * len(devices))(*devices)
    sizes = map(ctypes.c_size_t, (len(devices), threads, memory))
    if failed := _library().worker_open(pointers, *sizes):
        name = backend.described(devices[failed - 1]).title
        raise ModelError(f"the engine cannot open {name}", hint=REINSTALL)


def serve(fd: int, folder: str, room: int) -> None:
    """Serve a connection until it ends; closes it.

    Large tensors are kept in `folder` (empty: nowhere), in at most `room` bytes.
    """
    kept = os.fsencode(folder) if folder else None
    _library().worker_serve(fd, kept, ctypes.c_size_t(room))
