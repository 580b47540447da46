"""Prewarm: let the runtime compute the prompt state section of a bundle."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bundler import run_program
from bundler.packing.estimate import estimate
from bundler.temp_files import temporary_file
from runtime.container import prefix_state
from runtime.container.extents import Extent, Extents
from runtime.container.hashing import hash_of
from runtime.container.layout import Section
from runtime.container.writer import Part, Written
from runtime.errors import AppError
from runtime.host.progress_bar import progress
from runtime.units import gigabytes
from runtime.weights import compress
from runtime.weights.byte_planes import PLAIN

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
    with temporary_file() as out:
        _run(runtime, draft, out.fileno(), defaults, say)
        size = os.fstat(out.fileno()).st_size
        source = Extents([Extent(out.fileno(), 0, size)])
        start = out.readline()
        tokens = len(json.loads(start)["tokens"])

        def write(fd: int) -> Written:
            # Whatever the engine keeps, the coding that saves most is right.
            kinds = [(compress.cut_range(len(start), size, kind)) for kind in NUMBERS]
            pieces = max(kinds, key=lambda pieces: estimate(source, pieces).saving)
            head = compress.cut_range(0, len(start), PLAIN, text=True)
            with progress(f"compressing {gigabytes(size)}") as update:
                written = compress.compress(source, [*head, *pieces], fd, update)
            say(
                f"prewarmed: the first {tokens:,} tokens of every conversation, "
                f"{gigabytes(written.length)} ({gigabytes(size)} unpacked)"
            )
            return written

        section = Section(prefix_state.NAME, prefix_state.KIND, 0, 0, size, "planes", "")
        yield Part(section, write, lambda: hash_of(source.chunks(), size))


def _run(
    runtime: Path, draft: int, out: int, defaults: Mapping[str, Any], say: Callable[[str], None]
) -> None:
    """Let `runtime` write to the file `out`, and show how far it is."""
    with progress("computing how conversations begin") as update:

        def on_line(line: str) -> None:
            reached, _, total = line.rstrip().partition(" ")
            if reached.isdecimal() and total.isdecimal():  # libraries print, too
                update(int(reached), int(total))

        done = run_program.follow(
            runtime, ["prewarm", f"/dev/fd/{draft}", f"/dev/fd/{out}"],
            given=json.dumps(dict(defaults)), files=(draft, out), on_line=on_line,
        )  # fmt: skip
    if done.code:
        problem, _, hint = done.err.removeprefix("error: ").partition("\n\nhint: ")
        raise AppError(
            f"the conversation's beginning could not be computed: {problem or 'it crashed'}",
            hint=hint or "leave out --prewarm",
        )
    for line in done.err.splitlines():
        say(f"note: {line}")
