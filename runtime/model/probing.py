"""Probing: part of the engine is tried in a child process, and the verdict is remembered.

What is to be tried may crash, hang, or compute wrongly: the child evaluates a small model, whose
logits are known.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import math
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from runtime.host import app_dirs, interrupts

MODEL, LOGITS = "probe.gguf", "probe.logits"
TOKENS = (*range(40, 40 + 24), 7)
"""A prompt long enough for matrix-matrix kernels, then one token for matrix-vector kernels."""
TOO_LONG = "it took longer than"
PATIENCE = 5
"""Seconds for a child that was killed to be gone; one that hangs in a driver may never be."""
DONE = 121
"""Exit code of a child that has done its work. A library may end the process by exit(0)."""
TRANSIENT = ("SIGKILL",)
"""What ends a child for lack of memory; such a verdict is not remembered."""


def in_child(
    work: Callable[[BinaryIO], object],
    seconds: int,
    meanwhile: Callable[[float], None] = lambda _: None,
) -> tuple[str, bytes]:
    """Run `work` in a forked child; return how it failed ("" if not), and the bytes it wrote.

    `meanwhile` is called now and then with the seconds that it has taken so far. Forks, so it must
    be called before the engine or any thread is started.
    """
    # No temporary file: there may be no folder for any.
    with open(os.memfd_create("answer", os.MFD_CLOEXEC), "w+b", buffering=0) as out:
        child = os.fork()
        if not child:
            code = 1
            with contextlib.suppress(BaseException):
                interrupts.end_with_parent()
                # Discard what a crashing library prints.
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                signal.alarm(seconds + PATIENCE)  # where nobody waits for it any more
                work(out)
                code = DONE
            os._exit(code)
        try:
            status = _waited(child, seconds, meanwhile)
        except BaseException:  # Ctrl-C, which a library may not hear
            os.kill(child, signal.SIGKILL)
            _waited(child, PATIENCE)
            raise
        if status is None:
            os.kill(child, signal.SIGKILL)
            _waited(child, PATIENCE)
            return f"{TOO_LONG} {seconds} seconds", b""
        out.seek(0)
        output = out.read()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"it died with {signal.Signals(number).name}", output
        except ValueError:
            return f"it died with signal {number}", output
    code = os.WEXITSTATUS(status)
    if code in (DONE, 1):
        return ("" if code == DONE else "it failed"), output
    return f"it ended the process with exit code {code}", output


def _waited(
    child: int, seconds: float, meanwhile: Callable[[float], None] = lambda _: None
) -> int | None:
    """Return the status of a child that has ended; None if it has not after so long."""
    begin, pause = time.monotonic(), 0.0005
    while (passed := time.monotonic() - begin) < seconds:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        meanwhile(passed)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    return None


def _locked(file: int, seconds: float, meanwhile: Callable[[float], None]) -> bool:
    """Lock an open file, within so many seconds; return whether that came about."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            meanwhile(passed)
            time.sleep(0.05)
        else:
            return True
    return False


def compare(expected: bytes, found: bytes, tolerance: float) -> str:
    """Return how two rows of little-endian float32 logits differ, "" if by no more than that."""
    if len(expected) != len(found) or not expected:
        return f"it computed {len(found) // 4} logits, expected {len(expected) // 4}"
    pairs = zip(struct.iter_unpack("<f", expected), struct.iter_unpack("<f", found), strict=True)
    worst = 0.0
    for (a,), (b,) in pairs:
        if not math.isfinite(b):
            return "its logits are not numbers"
        worst = max(worst, abs(a - b))
    return f"its logits are off by {worst:.3g}" if worst > tolerance else ""


def logits(model: Path, prepare: Callable[[Any], None] = lambda _: None) -> bytes:
    """Return the logits for the probe's prompt and for one more token, by the engine as loaded.

    The bytes are two rows of `(n_vocab,)` native float32 values, empty if the engine fails.
    `prepare` may change the parameters that the model is loaded with. In a child process only.
    """
    from runtime.model.llama_api import api

    parameters = api.llama_model_default_params()
    prepare(parameters)
    handle = api.llama_model_load_from_file(os.fsencode(model), parameters)
    if not handle:
        return b""
    settings = api.llama_context_default_params()
    settings.n_ctx = settings.n_batch = 64
    settings.n_threads = settings.n_threads_batch = 1
    context = api.llama_init_from_model(handle, settings)
    if not context:
        return b""
    count = api.llama_vocab_n_tokens(api.llama_model_get_vocab(handle))
    result = b""
    for tokens in (TOKENS[:-1], TOKENS[-1:]):
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        if api.llama_decode(context, api.llama_batch_get_one(array, len(tokens))):
            return b""
        result += ctypes.string_at(api.llama_get_logits_ith(context, -1), 4 * count)
    return result


class VerdictCache:
    """Verdict of an earlier run, in the user's cache folder; best effort."""

    def __init__(self, name: str, identity: str, keys: Mapping[str, type]) -> None:
        """`identity` is all that the verdict depends on; empty for no memory at all.

        `keys` are those of the verdict, with the types of their values.
        """
        # Environment variables and names of files may be no text.
        key = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:16]
        self.path = app_dirs.cache() / f"{name}-{key}.json" if identity else None
        self._lock = app_dirs.cache() / f"{name}.lock"
        self._keys = keys

    def load(self) -> dict[str, Any] | None:
        """Return the verdict, None if there is none or it cannot be read."""
        if self.path is None:
            return None
        try:
            known = json.loads(self.path.read_text())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(known, dict) or any(
            not isinstance(known.get(key), kind) for key, kind in self._keys.items()
        ):
            return None
        return known

    def forget(self) -> None:
        """Have the next run try again."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()

    @contextlib.contextmanager
    def found_out_by_one(
        self, seconds: float, meanwhile: Callable[[float], None] = lambda _: None
    ) -> Iterator[None]:
        """Wait while another program finds out a verdict of this name; have others wait meanwhile.

        Two at once would take each other's time for the device's. After so many seconds, or where
        nothing can be written, it is found out nevertheless. `meanwhile` is as for in_child.
        """
        with contextlib.ExitStack() as stack:
            if self.path is not None:
                with contextlib.suppress(OSError):
                    self._lock.parent.mkdir(parents=True, exist_ok=True)
                    lock = stack.enter_context(open(self._lock, "w"))
                    if _locked(lock.fileno(), seconds, meanwhile):
                        # A child that cannot be killed would hold it on.
                        stack.callback(fcntl.flock, lock, fcntl.LOCK_UN)
            yield

    def store(self, verdict: Mapping[str, Any]) -> None:
        """Remember the verdict; if that fails, the next run tries again."""
        if self.path is not None:
            app_dirs.write_best_effort(self.path, json.dumps(verdict))
