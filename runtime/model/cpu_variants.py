"""Selection of the engine's CPU variant: the fastest that works on this processor.

Each variant library scores how well it suits the processor (0: not supported). A high score does
not prove that it works: miscompiled code, an emulator, or a hypervisor that hides CPU features can
still end in SIGILL. So the best variant first evaluates a small model in a child process, and its
logits must agree with those of the plainest variant. The verdict is cached per processor and build.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import math
import os
import platform
import signal
import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from runtime.errors import ModelError, UsageError
from runtime.host import app_dirs, resources
from runtime.model import variant_files
from runtime.model.variant_files import variants

TOLERANCES = {"x86_64": 0.05, "aarch64": 0.15}
"""Largest absolute difference of two logits, which are of order 1, by the processor.

Quantized products round activations to 8 bits, in blocks that differ between variants. ARM's from
armv8.2_2 on add up in half precision, which is off by 0.051 from its plainest variant, and by 0.060
from x86-64's. Miscompiled variants are off by orders of magnitude.
"""
PROBE_MODEL, PROBE_LOGITS = "probe.gguf", "probe.logits"
PROBE_TOKENS = (*range(40, 40 + 24), 7)
"""A prompt long enough for matrix-matrix kernels, then one token for matrix-vector kernels."""
CHILD_SECONDS = 60
TRANSIENT_SIGNALS = ("SIGKILL", "SIGALRM")
"""Signals that end a child for lack of memory or time; such a verdict is not cached."""


@dataclass(frozen=True)
class Selection:
    """The selected variant, and what is known about the others."""

    name: str
    path: Path
    scores: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    """Better variants that failed, with the reason."""


def choose(folder: Path, probe: Path, *, force: str = "", build: str = "") -> Selection:
    """Return the variant in `folder` to use on this processor.

    `probe` is the folder with the probe model, `build` identifies the libraries and is the key of
    the cached verdict (empty: no caching). `force` names a variant to use without the probe. Forks,
    so it must run before the engine or any thread is started. Raise UsageError if there is no
    variant of the forced name, ModelError if the processor does not support it, or no variant
    works.
    """
    cache = _VerdictCache(build)
    known = None if force else cache.load()
    available = variant_files.there(folder)
    if not known or known["variant"] not in available:
        available = variants(folder)  # those in the program's archive too, which takes longer
    if force:
        if force not in available:
            raise UsageError(
                f"there is no CPU variant '{force}'", hint=f"the variants: {', '.join(available)}"
            )
        if not scores({force: available[force]}).get(force):
            raise ModelError(
                f"the CPU variant '{force}' cannot be used: this processor "
                f"({resources.cpu_name()}) lacks what it needs",
                hint="leave out --cpu, or name another variant: "
                + ", ".join(name for name, score in scores(available).items() if score),
            )
        return Selection(force, variant_files.unpacked(available[force]))
    if known and known["variant"] in available:
        name = known["variant"]
        path = variant_files.unpacked(available[name])
        return Selection(name, path, known["scores"], known["rejected"])
    found = scores(available)
    rejected: dict[str, str] = {}
    ranking = sorted((n for n in available if found.get(n)), key=lambda n: -found[n])
    for name in ranking:
        failure = prove(variant_files.unpacked(available[name]), probe)
        if not failure:
            if not any(
                signal_name in text
                for text in rejected.values()
                for signal_name in TRANSIENT_SIGNALS
            ):
                cache.store(name, found, rejected)
            return Selection(name, available[name], found, rejected)
        rejected[name] = failure
        print(
            f"note: CPU variant {name} does not work here ({failure}); trying the next best",
            file=sys.stderr,
        )
    raise ModelError(
        f"none of the CPU variants works on this processor ({resources.cpu_name()})",
        hint="name one with --cpu to see how it fails: " + ", ".join(available),
    )


def prove(variant: Path, probe: Path) -> str:
    """Evaluate the probe model with one variant in a child; return how it failed, "" if not."""
    reference = probe / PROBE_LOGITS
    if not reference.exists():
        return ""
    expected = reference.read_bytes()
    status, output = _in_child(lambda out: out.write(logits(variant, probe / PROBE_MODEL)))
    if status:
        return status
    return compare(expected, output)


def compare(expected: bytes, found: bytes, machine: str = "") -> str:
    """Return how two rows of little-endian float32 logits differ, "" if by little.

    How much is little depends on the `machine` that computed them, by default this one.
    """
    tolerance = TOLERANCES.get(machine or platform.machine(), max(TOLERANCES.values()))
    if len(expected) != len(found) or not expected:
        return f"it computed {len(found) // 4} logits, expected {len(expected) // 4}"
    pairs = zip(struct.iter_unpack("<f", expected), struct.iter_unpack("<f", found), strict=True)
    worst = 0.0
    for (a,), (b,) in pairs:
        if not math.isfinite(b):
            return "its logits are not numbers"
        worst = max(worst, abs(a - b))
    return f"its logits are off by {worst:.3g}" if worst > tolerance else ""


def logits(variant: Path, model: Path) -> bytes:
    """Return the logits of `variant` for the probe's prompt and for one more token.

    The bytes are two rows of `(n_vocab,)` native float32 values, empty if the engine fails. Loads
    the engine into this process, so call it in a child process only.
    """
    from runtime.model import llama_api

    llama_api.load_variant(variant)
    llama_api.start()
    api = llama_api.api
    parameters = api.llama_model_default_params()
    handle = api.llama_model_load_from_file(os.fsencode(model), parameters)
    if not handle:
        return b""
    settings = api.llama_context_default_params()
    settings.n_ctx = settings.n_batch = 64
    settings.n_threads = settings.n_threads_batch = 1
    context = api.llama_init_from_model(handle, settings)
    count = api.llama_vocab_n_tokens(api.llama_model_get_vocab(handle))
    result = b""
    for tokens in (PROBE_TOKENS[:-1], PROBE_TOKENS[-1:]):
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        if api.llama_decode(context, api.llama_batch_get_one(array, len(tokens))):
            return b""
        result += ctypes.string_at(api.llama_get_logits_ith(context, -1), 4 * count)
    return result


def scores(available: dict[str, Path]) -> dict[str, int]:
    """Return the score of every variant, asked in a child process: even loading one may crash."""
    with variant_files.all_unpacked(available) as unpacked:
        return _asked(unpacked)


def _asked(available: dict[str, Path]) -> dict[str, int]:
    found: dict[str, int] = {}
    remaining = dict(available)
    while remaining:
        status, output = _in_child(lambda out: _write_scores(remaining, out))
        for line in output.decode().splitlines():
            name, score = line.split()
            if score.lstrip("-").isdigit():
                found[name] = int(score)
            remaining.pop(name, None)
        if not status:
            return found
        # The child crashed on the first variant without a score.
        if remaining:
            found[next(iter(remaining))] = 0
            remaining.pop(next(iter(remaining)))
    return found


def _write_scores(available: dict[str, Path], out: BinaryIO) -> None:
    """Write a line "NAME SCORE" for each variant."""
    for name, path in available.items():
        try:
            score = ctypes.CDLL(str(path)).ggml_backend_score()
        except (OSError, AttributeError):
            score = 0
        out.write(f"{name} {score}\n".encode())  # unbuffered: the next one may crash


def _in_child(work: Callable[[BinaryIO], object]) -> tuple[str, bytes]:
    """Run `work` in a forked child; return how it failed ("" if not), and the bytes it wrote."""
    with tempfile.TemporaryFile(buffering=0) as out:
        child = os.fork()
        if not child:
            code = 1
            with contextlib.suppress(BaseException):
                # Discard what a crashing library prints.
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                signal.alarm(CHILD_SECONDS)
                work(out)
                code = 0
            os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        output = out.read()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"it died with {signal.Signals(number).name}", output
        except ValueError:
            return f"it died with signal {number}", output
    return ("it failed" if os.WEXITSTATUS(status) else ""), output


class _VerdictCache:
    """Verdicts of earlier runs, in the user's cache folder; best effort."""

    def __init__(self, build: str) -> None:
        identity = f"{resources.cpu_identity()}\n{build}"
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.path = app_dirs.cache() / f"cpu-{key}.json" if build else None

    def load(self) -> dict[str, Any] | None:
        """Return the cached verdict, None if there is none or it cannot be read."""
        if self.path is None:
            return None
        try:
            known = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        keys = {"variant": str, "scores": dict, "rejected": dict}
        if not isinstance(known, dict) or any(
            not isinstance(known.get(key), kind) for key, kind in keys.items()
        ):
            return None
        return known

    def store(self, name: str, scores: dict[str, int], rejected: dict[str, str]) -> None:
        """Cache the verdict; if that fails, the next run evaluates the probe again."""
        if self.path is None:
            return
        text = json.dumps({"variant": name, "scores": scores, "rejected": rejected})
        app_dirs.write_best_effort(self.path, text)
