"""Make a new version of a bundle: other defaults, other parts, another runtime.

The weights are moved as they are, never coded again, and only once; where the file system can
share blocks between files, not even that. The old file stays until the new one is complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runtime import adapters, beginning, files, gguf, payload
from runtime.errors import AppError, UsageError
from runtime.format import Manifest, Section
from runtime.options import Options
from runtime.output import publish
from runtime.parts import hash_of
from runtime.payload import Bundle
from runtime.progress import progress
from runtime.source import Extent, Source
from runtime.weld import Last, Part, Stub, Written, weld

Prewarmer = Callable[[Path, Callable[[], Manifest], Callable[[str], None]], Last]
"""Returns what lets the runtime at a path compute how conversations begin; see bundler.bundle."""


@dataclass(frozen=True)
class Change:
    """What is to be different; everything else stays."""

    name: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    unset: Sequence[str] = ()
    """Defaults to be forgotten."""
    license: str | None = None
    add: Sequence[Path] = ()
    """Adapters to add, each named after its file."""
    remove: Sequence[str] = ()
    """Parts to leave out; never the model."""
    stub: Bundle | None = None
    """The runtime to use instead."""


def apply(
    bundle: Bundle,
    target: Path,
    change: Change,
    *,
    tool: str,
    sign: Callable[[bytes], str] | None = None,
    prewarm: Prewarmer | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write `bundle` with `change` to `target`, which may be itself; return the new manifest.

    `prewarm` computes anew how conversations begin. Where that is not asked for, and what was
    computed no longer fits, it is left out, and `say` told so. Raise UsageError when the change
    makes no sense, and AppError when it cannot be written; the old file is then as it was.
    """
    manifest = _changed(bundle.manifest, change, tool)
    kept = [moved(bundle, section) for section in _kept(bundle, change)]
    in_sidecar = bundle.manifest.sidecar is not None
    if in_sidecar and (change.add or change.remove or prewarm):
        raise UsageError(
            f"the parts of {bundle.path} lie in a file of their own",
            hint="bundle it again to change them; everything else can be edited",
        )
    added = [
        adapter(path, str(bundle.manifest.model.get("architecture", ""))) for path in change.add
    ]
    names = [part.section.name for part in [*kept, *added] if part.section.kind != beginning.KIND]
    names += [beginning.NAME] if prewarm or len(names) < len([*kept, *added]) else []
    if doubled := {name for name in names if names.count(name) > 1}:
        raise UsageError(
            f"{bundle.path} has a part '{min(doubled)}' already",
            hint="remove that one, or give the file another name",
        )
    parts = [
        part
        for part in [*kept, *added]
        if part.section.kind != beginning.KIND
        or (not prewarm and _fits(bundle, change, manifest, part.section, [*kept, *added], say))
    ]
    runtime = change.stub or bundle
    last = prewarm(Path(runtime.path), lambda: manifest, say) if prewarm else None
    with publish(target, force=True) as out:
        return weld(
            out, Stub.of(runtime), [] if in_sidecar else parts, lambda: manifest, sign, last
        )


def _fits(
    bundle: Bundle,
    change: Change,
    manifest: Manifest,
    section: Section,
    parts: Sequence[Part],
    say: Callable[[str], None],
) -> bool:
    """Tell whether the state in `section` is of use for the new file; say why not."""
    options = Options().merged(manifest.defaults, "default ")
    sections = [part.section for part in parts]
    strengths = adapters.wanted(sections, options.lora)
    expected = beginning.conversation_key(options, strengths, sections)
    if change.stub:
        expected["engine"] = str(change.stub.manifest.stub.get("id", ""))
    try:
        why = beginning.difference(beginning.read(bundle, section).key, expected)
    except AppError as exc:
        why = exc.problem
    if why and bundle.manifest.sidecar:
        say(f"the prewarmed beginning stays in the file beside it, but is of no use: {why}")
    elif why:
        say(
            f"the prewarmed beginning is left out: {why}; compute it again with "
            "modelembed edit FILE --prewarm"
        )
    return not why


def moved(bundle: Bundle, section: Section) -> Part:
    """Return a section of `bundle` to be written elsewhere as it is."""

    def write(fd: int) -> Written:
        source = Source([Extent(bundle.fd, section.offset, section.length)])
        with progress(f"writing {section.name}") as update:
            source.copy_to(fd, lambda done: update(done, section.length))
        return Written(section.length, section.codec, section.coded_sha256)

    return Part(section, write, lambda: section.sha256)


def adapter(path: Path, architecture: str) -> Part:
    """Return the LoRA adapter in the GGUF file `path` as a part.

    Raise UsageError where it cannot be read, and GGUFError where it is none.
    """
    try:
        fd = files.open_seekable(path)
    except OSError as exc:
        raise UsageError(
            f"{path} cannot be read: {exc.strerror}", hint="name a LoRA adapter, a GGUF file"
        ) from exc
    size = os.fstat(fd).st_size
    adapters.check(gguf.read(fd, size, label=str(path)), architecture, str(path))
    section = Section(path.name.removesuffix(".gguf"), "adapter", 0, 0, size, "stored", "")

    def write(out: int) -> Written:
        Source([Extent(fd, 0, size)]).copy_to(out)
        return Written(size, "stored", "")

    return Part(section, write, lambda: hash_of(payload.chunks(fd, 0, size), size))


def _kept(bundle: Bundle, change: Change) -> list[Section]:
    for name in change.remove:
        if bundle.section(name).kind == "model":
            raise UsageError(
                "the model cannot be removed", hint="bundle another one: modelembed bundle"
            )
    return [section for section in bundle.manifest.sections if section.name not in change.remove]


def _changed(manifest: Manifest, change: Change, tool: str) -> Manifest:
    """Return the manifest with `change`; its sections are filled in when they are written."""
    defaults = {**manifest.defaults, **change.defaults}
    for key in change.unset:
        if key not in defaults:
            raise UsageError(
                f"there is no default '{key}' to be forgotten",
                hint="the defaults: " + (", ".join(defaults) or "none"),
            )
        del defaults[key]
    Options().merged(defaults, "default ")
    model = dict(manifest.model)
    if change.license is not None:
        model["license"] = change.license
    name = manifest.name if change.name is None else change.name
    return replace(manifest, name=name, defaults=defaults, model=model, sections=(), tool=tool)
