"""Make one executable out of a stub and a model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.model.lint import EngineFindings, Model
from bundler.model.projectors import Projector
from bundler.model.second_models import SecondModel
from bundler.packing import second_parts
from bundler.packing.source_hash import hashing
from runtime import __version__
from runtime.container import prefix_state
from runtime.container.bundle_file import SIDECAR_SUFFIX, Bundle
from runtime.container.extents import Extent, Extents
from runtime.container.layout import Manifest, Section
from runtime.container.writer import LastPart, Part, Stub, Written, write_bundle, write_with_sidecar
from runtime.documents.chunking import Chunking
from runtime.errors import UsageError
from runtime.gguf import projector as projectors
from runtime.gguf.header import Header
from runtime.host.atomic_write import publish_all
from runtime.host.progress_bar import Progress, progress
from runtime.sanitize import plain
from runtime.units import gigabytes

if TYPE_CHECKING:
    from bundler.packing.signing import SecretKey

SECTION = "model"
AUTO = 0.10
"""`auto` compresses when it saves this share: a mapped file starts at once and is shared."""
DOUBT = 0.03
"""How far samples may be off: below the threshold by more, nothing is coded just to see."""


@dataclass(frozen=True)
class Recipe:
    """What to bundle, besides the model."""

    name: str = ""
    """What the program calls itself; empty for the model's own name."""
    license: str = ""
    """The model's; empty for what its file says."""
    threshold: float | None = AUTO
    """Share that compression must save to be used; None to store whatever it would save."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    key: SecretKey | None = None
    """What to sign it with."""
    adapters: tuple[Path, ...] = ()
    projector: Projector | None = None
    """What lets the model take pictures or sound."""
    seconds: tuple[SecondModel, ...] = ()
    """Models beside the first: an embedding model, a reranking model."""
    sidecar: bool = False
    """Write the parts to a file of their own beside the executable."""
    prewarm: bool = False
    """Compute how every conversation begins, and put that in as well."""
    docs: Path | None = None
    """A folder of documents to answer from."""
    chunking: Chunking = field(default_factory=Chunking)
    """How they are cut."""


def threshold(text: str) -> float | None:
    """Return what `--compress TEXT` asks for: auto, max (or zstd), none, or a share like 15%."""
    known = {"auto": AUTO, "max": 0.0, "zstd": 0.0, "none": None}
    if text in known:
        return known[text]
    with contextlib.suppress(ValueError):
        share = float(text.removesuffix("%")) / 100
        if text.endswith("%") and 0 <= share < 1:
            return share
    raise UsageError(
        f"--compress takes auto, max, none or a share such as 15%, not '{text}'",
        hint="15% compresses where that makes the model at least 15% smaller",
    )


def modes(target: Path, *, sidecar: bool) -> dict[Path, int]:
    """Return the files that are written for `target`, with their modes: itself last."""
    beside = {Path(f"{target}{SIDECAR_SUFFIX}"): 0o644} if sidecar else {}
    return {**beside, target: 0o755}


def make(
    target: Path,
    stub: Bundle,
    model: Model,
    findings: Future[EngineFindings],
    recipe: Recipe,
    say: Callable[[str], None],
    further: Sequence[Part] = (),
) -> None:
    """Write the executable `target`; raise AppError and leave nothing behind on failure.

    `further` are parts beside the model and its adapters, such as documents.

    The engine's `findings` may still be awaited: it is needed only when the weights are written,
    and a refusal stops the writing at once.
    """
    files = modes(target, sidecar=recipe.sidecar)
    with contextlib.ExitStack() as stack:
        *beside, out = stack.enter_context(publish_all(files, force=recipe.force))
        originals = [
            (name, stack.enter_context(hashing(original))) for name, original in model.originals
        ]
        digest = stack.enter_context(hashing(model.source))
        compressed = False

        def write(fd: int) -> Written:
            nonlocal compressed
            weights = Weights("", model.source, model.header)
            written = _write_weights(weights, fd, recipe.threshold, findings, say)
            compressed = written.codec != "stored"
            for warning in findings.result().warnings:
                say(f"warning: {warning}")
            return written

        def write_projector(weights: Weights, fd: int) -> Written:
            # As the model is: one that starts at once is not to wait for what is seldom asked for.
            least = recipe.threshold if compressed else None
            return _write_weights(weights, fd, least, findings, say)

        def describe() -> Manifest:
            return _manifest(recipe, model, [(name, result()) for name, result in originals])

        section = Section(SECTION, "model", 0, 0, model.source.size, "stored", "")
        parts = [Part(section, write, digest)]
        if recipe.projector:
            parts.append(_projector(recipe.projector, write_projector, stack))
        parts += [*_adapters(recipe, model, stack), *further]
        parts += [stack.enter_context(second_parts.part(second)) for second in recipe.seconds]
        _require_distinct_names(parts, recipe)
        sign = signer(recipe.key) if recipe.key else None
        last = prewarmer(Path(stub.path), describe, say) if recipe.prewarm else None
        if beside:
            name = next(iter(files)).name
            write_with_sidecar(out, beside[0], name, Stub.of(stub), parts, describe, sign, last)
        else:
            write_bundle(out, Stub.of(stub), parts, describe, sign, last)


def _manifest(recipe: Recipe, model: Model, originals: Sequence[tuple[str, str]]) -> Manifest:
    """Return the manifest without sections; `originals` are names and SHA-256 of merged files."""
    facts = dict(model.facts)
    if recipe.license:
        facts["license"] = recipe.license
    if originals:
        facts["originals"] = [f"{name} sha256:{digest}" for name, digest in originals]
    return Manifest(recipe.name, (), dict(recipe.defaults), facts, tool=f"modelembed {__version__}")


@dataclass(frozen=True)
class Weights:
    """A GGUF to be written, compressed or not."""

    title: str
    """What remarks about it begin with; empty for the model."""
    source: Extents
    header: Header

    def storing(self) -> str:
        """Return what it means that they are stored as they are."""
        told = f"{self.title}storing: {self.source.size:,} bytes"
        return told if self.title else f"{told}, starts at once, memory shared"

    def costs(self, seconds: float) -> str:
        """Return what it costs to restore them in that many seconds."""
        if self.title:  # the engine reads it when it is first needed, into memory of its own
            return f"the first picture or sound takes about {seconds:.1f} s longer on this machine"
        memory = f"{gigabytes(self.source.size)} of memory of its own"
        return f"every start takes about {seconds:.1f} s longer on this machine, and {memory}"


def _projector(
    projector: Projector, write: Callable[[Weights, int], Written], stack: contextlib.ExitStack
) -> Part:
    """Return a projector, to be written by `write`."""
    size = projector.opened.size
    source = Extents([Extent(projector.opened.fd, 0, size)])
    weights = Weights("projector: ", source, projector.opened.header)
    section = Section(
        projectors.SECTION, projectors.SECTION, 0, 0, size, "stored", "", facts=projector.facts
    )
    digest = stack.enter_context(hashing(source))
    return Part(section, lambda fd: write(weights, fd), digest)


def _write_weights(
    weights: Weights,
    fd: int,
    threshold: float | None,
    findings: Future[EngineFindings],
    say: Callable[[str], None],
) -> Written:
    """Append weights, compressed where that saves the share `threshold`, else as they are.

    Raise GGUFError as soon as the engine refuses the model.
    """
    source = weights.source
    if threshold is None:
        looked = "; what compression would save was not looked at" if not weights.title else ""
        say(f"{weights.storing()}{looked}")
    else:
        with progress(f"compressing {gigabytes(source.size)}") as show:
            written, remark = _compressed(weights, fd, threshold, _until_refused(findings, show))
        say(remark)  # now that no bar is in the way
        if written:
            return written
    with progress(f"writing {gigabytes(source.size)}") as show:
        step = _until_refused(findings, show)
        source.copy_to(fd, lambda done: step(done, source.size))
    return Written(source.size, "stored", "")


def _until_refused(findings: Future[EngineFindings], show: Progress) -> Progress:
    """Return `show`, raising the engine's refusal as soon as there is one."""

    def step(done: int, total: int) -> None:
        if findings.done():
            findings.result()
        show(done, total)

    return step


def _adapters(recipe: Recipe, model: Model, stack: contextlib.ExitStack) -> list[Part]:
    """Return the LoRA adapters of a recipe, to be written; `stack` closes their files."""
    from runtime.container.section_io import adapter  # few bundles have any

    architecture = model.header.architecture
    return [stack.enter_context(adapter(path, architecture)) for path in recipe.adapters]


def _require_distinct_names(parts: Sequence[Part], recipe: Recipe) -> None:
    """Raise UsageError where two sections would have the same name."""
    names = [part.section.name for part in parts] + [prefix_state.NAME] * recipe.prewarm
    if doubled := {name for name in names if names.count(name) > 1}:
        raise UsageError(
            f"two parts would be called '{min(doubled)}'", hint="give the adapter another name"
        )


def prewarmer(
    runtime: Path, describe: Callable[[], Manifest], say: Callable[[str], None]
) -> LastPart:
    """Return what lets `runtime` compute how conversations with a file begin."""

    def last(draft: int) -> AbstractContextManager[Part]:
        from bundler.packing import prewarm

        return prewarm.computed(runtime, draft, describe().defaults, say)

    return last


def signer(key: SecretKey) -> Callable[[bytes], str]:
    """Return what signs the bytes of a manifest with `key`; its comment is the program's name."""

    def sign(manifest: bytes) -> str:
        name = Manifest.decode(manifest).name
        return key.sign(manifest, f"modelembed: {plain(name)[:200]}")

    return sign


def _compressed(
    weights: Weights, fd: int, least: float, step: Progress
) -> tuple[Written | None, str]:
    """Append weights compressed; give None, with nothing appended, if it saves too little.

    What is also returned tells the user which of the two it is, and why.
    """
    source = weights.source
    # They take a twentieth of a second to import, and storing does without.
    from bundler.packing.estimate import estimate
    from runtime.weights import compress

    pieces = compress.cut(weights.header, source.size)
    guess = estimate(source, pieces)
    storing = weights.storing()
    if guess.saving < least - DOUBT:
        return None, (f"{storing}; compression would save about {guess.saving:.1%}, {_hint(least)}")
    start = os.lseek(fd, 0, os.SEEK_CUR)
    written = compress.compress(source, pieces, fd, step)
    saving = 1 - written.length / source.size
    if saving < max(least, 1e-9):
        os.lseek(fd, start, os.SEEK_SET)
        os.ftruncate(fd, start)
        return None, f"{storing}; compression saves only {saving:.1%}, {_hint(least)}"
    return written, (
        f"{weights.title}compressing: {written.length:,} bytes instead of {source.size:,} "
        f"({saving:.1%} less); {weights.costs(max(guess.restore_seconds, 0.1))}"
    )


def _hint(least: float) -> str:
    if not least:
        return "which is nothing"
    return f"less than {least:.0%} (--compress max takes all of it)"
