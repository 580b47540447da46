"""Make one executable out of a stub and a model."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundler import compress
from bundler.lint import Model
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
    target: Path, stub: Bundle, model: Model, recipe: Recipe, say: Callable[[str], None]
) -> None:
    """Write the executable `target`; raise AppError and leave nothing behind on failure."""
    source = model.source
    codec = choose_codec(source, recipe.compression, say)
    manifest = Manifest(
        name=recipe.name,
        defaults=dict(recipe.defaults),
        model=model.facts,
        tool=f"modelembed {__version__}",
    )
    section = Section(SECTION, "model", 0, 0, source.size, codec, "")
    verb = "compressing" if codec == "zstd" else "writing"
    with (
        publish(target, force=recipe.force) as out,
        _hashing(source) as digest,
        progress(f"{verb} {gigabytes(source.size)}") as update,
    ):

        def write(fd: int) -> int:
            if codec == "zstd":
                return compress.compress(source, fd, update)
            source.copy_to(fd, lambda done: update(done, source.size))
            os.fsync(fd)  # now, while the hash is still being taken
            return source.size

        weld(out, Stub.of(stub), [Part(section, write, digest)], manifest)


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


@contextlib.contextmanager
def _hashing(source: Source) -> Iterator[Callable[[], str]]:
    """Hash `source` in a thread of its own, while it is copied; give a call for the result."""
    digest = hashlib.sha256()
    stop = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        try:
            for chunk in source.chunks():
                if stop.is_set():
                    return
                digest.update(chunk)
        except Exception as exc:
            failures.append(exc)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def result() -> str:
        while thread.is_alive():
            thread.join(0.1)  # in steps, so that Ctrl-C is heard
        if failures:
            raise failures[0]
        return digest.hexdigest()

    try:
        yield result
    finally:
        stop.set()
        thread.join()
