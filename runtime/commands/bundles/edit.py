"""Make a new version of a bundle: other defaults, other parts, another runtime.

The weights are moved as they are, never coded again, and only once; where the file system can
share blocks between files, not even that. The old file stays until the new one is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runtime.container import lora_sections, prefix_state, section_io
from runtime.container.bundle_file import Bundle
from runtime.container.extents import Extents
from runtime.container.layout import Manifest, Section
from runtime.container.writer import LastPart, Part, Stub, Written, write_bundle
from runtime.errors import AppError, UsageError
from runtime.gguf import projector as projectors
from runtime.gguf.header import Header
from runtime.host.atomic_write import publish
from runtime.host.progress_bar import progress
from runtime.options import builtin_templates, fallback, loading
from runtime.options.registry import Options
from runtime.units import gigabytes

CODED = "planes"
"""How models are compressed now; a runtime of before that reads no projector either."""
Prewarmer = Callable[[Path, Callable[[], Manifest], Callable[[str], None]], LastPart]
"""Returns what lets the runtime at a path compute how conversations begin; see
bundler.packing.bundle.prewarmer."""


@dataclass(frozen=True)
class Change:
    """What is to be different; everything else stays."""

    name: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    unset: Sequence[str] = ()
    """Defaults to be forgotten."""
    license: str | None = None
    add: Mapping[Path, float] = field(default_factory=dict)
    """Adapters to add, each named after its file, and how strong they are by default."""
    remove: Sequence[str] = ()
    """Parts to leave out; never the model."""
    stub: Bundle | None = None
    """The runtime to use instead."""
    projector: Path | None = None
    """The projector to use instead of the one that there is, if any."""
    documents: Part | None = None
    """Documents in place of those that there are."""


def write_edited(
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
    runtime = change.stub or bundle
    manifest = _changed(bundle, change, tool)
    builtin_templates.check_baked(manifest.defaults, runtime.manifest.stub)
    kept = [section_io.copied(bundle, section) for section in _kept(bundle, change)]
    in_sidecar = bundle.manifest.sidecar is not None
    moved = change.add or change.remove or change.projector or change.documents
    if in_sidecar and (moved or prewarm):
        raise UsageError(
            f"the parts of {bundle.path} lie in a file of their own",
            hint="bundle it again to change them; everything else can be edited",
        )
    architecture = str(bundle.manifest.model.get("architecture", ""))
    with contextlib.ExitStack() as stack:
        added = [stack.enter_context(section_io.adapter(path, architecture)) for path in change.add]
        if change.documents:
            added.append(change.documents)
        if change.projector:
            added.append(stack.enter_context(_projector(bundle, change.projector)))
        names = [
            part.section.name for part in [*kept, *added] if part.section.kind != prefix_state.KIND
        ]
        names += [prefix_state.NAME] if prewarm or len(names) < len([*kept, *added]) else []
        if doubled := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"{bundle.path} has a part '{min(doubled)}' already",
                hint="remove that one, or give the file another name",
            )
        parts = [
            part
            for part in [*kept, *added]
            if part.section.kind != prefix_state.KIND
            or (
                not prewarm
                and _state_fits(bundle, change, manifest, part.section, [*kept, *added], say)
            )
        ]
        last = prewarm(Path(runtime.path), lambda: manifest, say) if prewarm else None
        with (
            _change_guard(bundle, target) as require_unchanged,
            publish(target, force=True, mode=_mode(bundle)) as out,
        ):
            written = write_bundle(
                out, Stub.of(runtime), [] if in_sidecar else parts, lambda: manifest, sign, last
            )
            if _is_own_file(bundle, target):
                _keep_owner(bundle.program, out)
            require_unchanged()
        return written


@contextlib.contextmanager
def _change_guard(bundle: Bundle, target: Path) -> Iterator[Callable[[], None]]:
    """Give what raises AppError once `target`, if it is the bundle's file, is another than now.

    Two edits that each begin with the old file would lose what one of them changed.
    """
    if not _is_own_file(bundle, target):
        yield lambda: None
        return
    changed = AppError(
        f"{target} was changed meanwhile, by something else", hint="do it again: its file is new"
    )
    before = os.fstat(bundle.program)

    def require_unchanged() -> None:
        try:
            now = os.stat(target)
        except OSError:
            raise changed from None
        for name in ("st_dev", "st_ino", "st_size", "st_mtime_ns"):
            if getattr(now, name) != getattr(before, name):
                raise changed

    try:
        fcntl.flock(bundle.program, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AppError(
            f"{target} is being changed by another edit", hint="wait until that is done"
        ) from None
    except OSError:
        pass  # a file system without locks: a change is still seen afterwards
    try:
        require_unchanged()
        yield require_unchanged
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(bundle.program, fcntl.LOCK_UN)


def _is_own_file(bundle: Bundle, target: Path) -> bool:
    """Tell whether `target` is the file of `bundle`, or had its name when that was opened."""
    return target == Path(bundle.path).resolve()


def _mode(bundle: Bundle) -> int:
    """Return the permissions of the bundle's file, which are none of ours to widen."""
    return os.fstat(bundle.program).st_mode & 0o777


def _keep_owner(source: int, out: int) -> None:
    """Give the file `out` the owner and the attributes of `source`, as far as we may."""
    status = os.fstat(source)
    with contextlib.suppress(OSError):
        os.fchown(out, -1, status.st_gid)
    with contextlib.suppress(OSError):
        os.fchown(out, status.st_uid, -1)
    with contextlib.suppress(OSError):
        for name in os.listxattr(source):
            if name.startswith(("user.", "system.posix_acl_")):
                with contextlib.suppress(OSError):
                    os.setxattr(out, name, os.getxattr(source, name))


def _state_fits(
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
    strengths = lora_sections.requested(sections, options.lora)
    expected = prefix_state.conversation_key(options, strengths, sections)
    if change.stub:
        expected["engine"] = str(change.stub.manifest.stub.get("id", ""))
    from runtime.weights import decompress  # zstandard: most edits do without

    try:
        why = prefix_state.difference(
            prefix_state.read(decompress.original_chunks(bundle, section), section.name).key,
            expected,
        )
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


def _kept(bundle: Bundle, change: Change) -> list[Section]:
    for name in change.remove:
        if bundle.section(name).kind == "model":
            raise UsageError(
                "the model cannot be removed", hint="bundle another one: modelembed bundle"
            )
    replaced = [change.documents.section.kind] if change.documents else []
    replaced += [projectors.SECTION] if change.projector else []
    return [
        section
        for section in bundle.manifest.sections
        if section.name not in change.remove and section.kind not in replaced
    ]


def _projector(bundle: Bundle, path: Path) -> AbstractContextManager[Part]:
    """Return the projector in the file `path`, which must fit the model in `bundle`.

    It is coded where the model is, as `bundle` does it: where that starts at once, the first
    picture is not to wait either.
    """
    from runtime.model import model_file  # most edits do without

    model = model_file.from_bundle(bundle)
    coded = bundle.model is not None and bundle.model.codec == CODED
    return section_io.projector(path, model.header, model.label, _compressed if coded else None)


def _compressed(source: Extents, header: Header, out: int) -> Written | None:
    """Append a GGUF compressed; give None, with nothing appended, if that is no less."""
    from runtime.weights import compress  # zstandard: most edits do without

    with progress(f"compressing {gigabytes(source.size)}") as show:
        return compress.compress_smaller(source, header, out, show)


def _changed(bundle: Bundle, change: Change, tool: str) -> Manifest:
    """Return the manifest with `change`; its sections are filled in when they are written."""
    manifest = bundle.manifest
    defaults = {**manifest.defaults, **change.defaults}
    for key in change.unset:
        if key not in defaults:
            raise UsageError(
                f"there is no default '{key}' to be forgotten",
                hint="the defaults: " + (", ".join(defaults) or "none"),
            )
        del defaults[key]
    _adapt(bundle, change, defaults)
    Options().merged(defaults, "default ")
    loading.require_possible(defaults)
    touched = any(key.startswith("fallback_") for key in (*change.defaults, *change.unset))
    if touched and (problem := fallback.problem(defaults)):
        raise UsageError(
            problem,
            hint="set the server, --set fallback_base_url=URL --set fallback_model=NAME, or "
            "--unset fallback_on_error",
        )
    model = dict(manifest.model)
    if change.license is not None:
        model["license"] = change.license
    name = manifest.name if change.name is None else change.name
    return replace(manifest, name=name, defaults=defaults, model=model, sections=(), tool=tool)


def _adapt(bundle: Bundle, change: Change, defaults: dict[str, Any]) -> None:
    """Let the default `lora` among `defaults` fit the adapters that there will be."""
    if not (change.add or change.remove or "lora" in change.defaults):
        return
    before = [section for section in bundle.manifest.sections if section.kind == "adapter"]
    added = {lora_sections.part_name(path): scale for path, scale in change.add.items()}
    names = [section.name for section in before if section.name not in change.remove]
    names += added
    if "lora" not in change.defaults:
        wanted = lora_sections.requested(before, str(defaults.pop("lora", "")))
        kept = {name: scale for name, scale in wanted.items() if name not in change.remove}
        if text := lora_sections.text_of(kept | added, names):
            defaults["lora"] = text
    lora_sections.check_default(str(defaults.get("lora", "")), names)
