"""Let the runtime compute how every conversation with a bundle begins, for a part of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bundler import compress, launch
from runtime import beginning
from runtime.errors import AppError
from runtime.format import Section
from runtime.hashing import hash_of
from runtime.progress import progress
from runtime.source import Extent, Source
from runtime.units import gigabytes
from runtime.weights import PLAIN
from runtime.weld import Part, Written

NUMBERS = (1, 0)
"""ggml's types of what states consist of: F16 for attention, F32 for recurrent models."""


@contextlib.contextmanager
def computed(
    runtime: Path, draft: int, defaults: Mapping[str, Any], say: Callable[[str], None]
) -> Iterator[Part]:
    """Give the state of the beginning that conversations with the file `draft` have in common.

    `runtime` is the program that computes it, as it will run with the `defaults`. Raise AppError
    with what it said when it cannot.
    """
    with tempfile.TemporaryFile() as out:
        _run(runtime, draft, out.fileno(), defaults, say)
        size = os.fstat(out.fileno()).st_size
        source = Source([Extent(out.fileno(), 0, size)])
        start = out.readline()
        tokens = len(json.loads(start)["tokens"])

        def write(fd: int) -> Written:
            # Whatever the engine keeps, the coding that saves most is right.
            kinds = [(compress.cut_range(len(start), size, kind)) for kind in NUMBERS]
            pieces = max(kinds, key=lambda pieces: compress.estimate(source, pieces).saving)
            head = compress.cut_range(0, len(start), PLAIN, text=True)
            with progress(f"compressing {gigabytes(size)}") as update:
                written = compress.compress(source, [*head, *pieces], fd, update)
            say(
                f"prewarmed: the first {tokens:,} tokens of every conversation, "
                f"{gigabytes(written.length)} ({gigabytes(size)} unpacked)"
            )
            return written

        section = Section(beginning.NAME, beginning.KIND, 0, 0, size, "planes", "")
        yield Part(section, write, lambda: hash_of(source.chunks(), size))


def _run(
    runtime: Path, draft: int, out: int, defaults: Mapping[str, Any], say: Callable[[str], None]
) -> None:
    """Let `runtime` write to the file `out`, and show how far it is."""
    command = [str(runtime.absolute()), "prewarm", f"/dev/fd/{draft}", f"/dev/fd/{out}"]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        progress("computing how conversations begin") as update,
    ):
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
                pass_fds=(draft, out), env=launch.environment(),
            )  # fmt: skip
        except OSError as exc:
            raise launch.not_started(exc, runtime) from exc
        with process:
            try:
                assert process.stdin and process.stdout
                with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                    json.dump(dict(defaults), pipe)
                for line in process.stdout:
                    done, _, total = line.partition(" ")
                    update(int(done), int(total))
            except BaseException:
                process.terminate()
                raise
        said.seek(0)
        text = said.read().strip()
    launch.require_launched(runtime, process.returncode, text)
    if process.returncode:
        problem, _, hint = text.removeprefix("error: ").partition("\n\nhint: ")
        raise AppError(
            f"the conversation's beginning could not be computed: {problem or 'it crashed'}",
            hint=hint or "leave out --prewarm",
        )
    for line in text.splitlines():
        say(f"note: {line}")
