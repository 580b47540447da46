"""Make one executable out of a stub and a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundler import compress
from bundler.digest import hashing
from bundler.lint import Model, Verdict
from bundler.output import publish
from bundler.source import Source
from bundler.weld import Part, Stub, weld
from runtime import __version__
from runtime.format import Manifest, Section
from runtime.payload import Bundle
from runtime.progress import progress
from runtime.units import gigabytes

SECTION = "model"


@dataclass(frozen=True)
class Recipe:
    """What to bundle, besides the model."""

    name: str
    compression: str = "auto"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False


def make(
    target: Path,
    stub: Bundle,
    model: Model,
    verdict: Future[Verdict],
    recipe: Recipe,
    say: Callable[[str], None],
) -> None:
    """Write the executable `target`; raise AppError and leave nothing behind on failure.

    The engine's `verdict` may still be awaited: it is needed only when the weights are written,
    and a refusal stops the writing at once.
    """
    source = model.source
    codec = choose_codec(source, recipe.compression, say)

    def describe() -> Manifest:
        for warning in verdict.result().warnings:
            say(f"warning: {warning}")
        defaults = dict(recipe.defaults)
        if template := verdict.result().chat_template:
            defaults.setdefault("chat_template", template)
        return Manifest(
            name=recipe.name,
            defaults=defaults,
            model=model.facts,
            tool=f"modelembed {__version__}",
        )

    section = Section(SECTION, "model", 0, 0, source.size, codec, "")
    verb = "compressing" if codec == "zstd" else "writing"
    with (
        publish(target, force=recipe.force) as out,
        hashing(source) as digest,
        progress(f"{verb} {gigabytes(source.size)}") as show,
    ):

        def update(done: int, total: int) -> None:
            if verdict.done():
                verdict.result()
            show(done, total)

        def write(fd: int) -> int:
            if codec == "zstd":
                return compress.compress(source, fd, update)
            source.copy_to(fd, lambda done: update(done, source.size))
            os.fsync(fd)  # now, while the hash is still being taken
            return source.size

        weld(out, Stub.of(stub), [Part(section, write, digest)], describe)


def choose_codec(source: Source, compression: str, say: Callable[[str], None]) -> str:
    """Return the codec for `source`: auto measures a sample, and says what it found."""
    if compression != "auto":
        return {"none": "stored", "zstd": "zstd"}[compression]
    saving = compress.sample_saving(source)
    smaller = gigabytes(source.size * (1 - saving))
    figures = f"{gigabytes(source.size)} stored, about {smaller} compressed ({saving:.0%} less)"
    if saving >= compress.WORTH:
        say(f"compressing: {figures}; it is unpacked into memory at every start")
        return "zstd"
    say(f"storing: {figures}; stored models start at once and share their memory")
    return "stored"
