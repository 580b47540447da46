"""Memory: a bundled model must take no more than the same model as a file."""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import (
    Command,
    Memory,
    first_output_memory,
    interleave,
    peak_memory,
    run,
)
from benchmarks.report import Row

WORDS, TOKENS = 16, 8
EMBEDDED = 1.02
COMPRESSED = 1.05
NO_MMAP = ("--load-mode", "none")  # what this llama.cpp calls --no-mmap


def measure(lab: Lab) -> list[Row]:
    """Compare anonymous and shared memory of each way to load with the usual ways."""
    return [*embedded(lab), first_token(lab), *modes(lab)]


def embedded(lab: Lab) -> list[Row]:
    """Compare the peak, embedded and with `-m FILE`."""
    model = lab.model("1.1b-q4_k_m")
    bundle = lab.bundle(model, "--compress", "none")
    rows = []
    for note, options in (("as it is", ()), ("without repacking", ("--no-repack",))):
        ours = lab.generate(bundle, models.prompt(WORDS), TOKENS, *options)
        peer = lab.generate(lab.stub, models.prompt(WORDS), TOKENS, "-m", model, *options)
        own, other = interleave(lab.rounds(3), peak(ours), peak(peer), warm=False)
        what = "anonymous + shared memory"
        rows.append(Row(what, "MB", own, other, "stub -m FILE", EMBEDDED, note=note))
    return rows


def first_token(lab: Lab) -> Row:
    """Compare a compressed bundle with llama.cpp's own way to keep weights in memory."""
    model = lab.model("1.1b-q4_k_m")
    text = models.prompt(WORDS)
    ours = lab.generate(lab.bundle(model, "--compress", "max"), text, TOKENS)
    peer = lab.complete(model, text, TOKENS, *NO_MMAP, "--no-display-prompt")
    own, other = interleave(
        lab.rounds(3), held(ours, first_output_memory), held(peer, first_output_memory), warm=False
    )
    what = "compressed, anonymous + shared memory at the first token"
    return Row(what, "MB", own, other, "llama-completion --no-mmap", COMPRESSED)


def modes(lab: Lab) -> list[Row]:
    """Tell the peak of every way to load the same model."""
    model = lab.model("1.1b-q4_k_m")
    stored = lab.bundle(model, "--compress", "none")
    packed = lab.bundle(model, "--compress", "max")
    home = lab.work / "kept"
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}

    def command(*words: str) -> Command:
        return lab.generate(packed, models.prompt(WORDS), TOKENS, *words)

    run(command("--cache"), env=environment)  # the first start restores, the second maps
    ways: dict[str, Callable[[], float]] = {
        "stored": peak(lab.generate(stored, models.prompt(WORDS), TOKENS)),
        "-m FILE": peak(lab.generate(lab.stub, models.prompt(WORDS), TOKENS, "-m", model)),
        "compressed, decoded while loading": peak(command()),
        "compressed, in a memfd (--no-repack)": peak(command("--no-repack")),
        "compressed, --cache, second start": lambda: (
            peak_memory(command("--cache"), environment).total / 1e6
        ),
    }
    figures = interleave(lab.rounds(3), *ways.values(), warm=False)
    return [
        Row(f"peak of anonymous + shared memory, {way}", "MB", own)
        for way, own in zip(ways, figures, strict=True)
    ]


def peak(command: Command) -> Callable[[], float]:
    """Return a function that runs `command` and returns the megabytes that it took."""
    return held(command, peak_memory)


def held(command: Command, look: Callable[[Command], Memory]) -> Callable[[], float]:
    """Return a function that runs `command` under `look` and returns megabytes."""
    return lambda: look(command).total / 1e6
