"""`doctor`: checks of everything that a run depends on, with a remedy for each problem."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.chat_format import chat_template
from runtime.chat_format.chat_template import TemplateInputs
from runtime.commands import verify_extract
from runtime.container import lora_sections, prefix_state
from runtime.container.bundle_file import Bundle
from runtime.dialogue import prefix_cache
from runtime.errors import AppError
from runtime.gguf.header import read_header
from runtime.host import library_paths, resources, unpack_dir
from runtime.model import engine_build, variant_files
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.sandbox import proof
from runtime.sanitize import plain
from runtime.units import gigabytes
from runtime.weights import decompress

OK, WARN, FAIL = "ok", "warn", "fail"
UNPACKED = 80 << 20  # bytes that the first stage and the search for a CPU variant unpack
GPU_DEVICES = ("/dev/nvidia0", "/dev/kfd", "/dev/dri/renderD128")


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    state: str
    what: str
    detail: str
    remedy: str = ""

    def line(self) -> str:
        """Return the line of the report, with the remedy below it."""
        text = plain(f"{self.state:<4}  {self.what:<12} {self.detail}")
        return f"{text}\n{'':<19}{plain(self.remedy)}" if self.remedy else text


def examine(
    bundle: Bundle | None, find: Callable[[], ModelFile], options: Options, *, verify: bool
) -> Iterator[Finding]:
    """Yield the result of each check; `find` opens the model."""
    sandboxed = _sandbox(options)  # forks, which the engine must not have been started for
    yield _processor(options)
    yield _variant(options)
    yield _gpu(options)
    yield _unpacked() or _temporary_folder()
    yield _libc(bundle)
    yield sandboxed
    if bundle and bundle.manifest.sections:
        yield _payload(bundle) if verify else Finding(OK, "payload", "not checked (--no-verify)")
    try:
        source = find()
    except AppError as exc:
        yield Finding(FAIL, "model", exc.problem, exc.hint)
        return
    name = source.header.metadata.get("general.name") or source.header.architecture
    yield Finding(OK, "model", f"{name}, {gigabytes(source.size)}")
    yield _memory(source, options)
    yield _memfd(source, options)
    yield _template(source, options)
    if found := _prewarmed(bundle, source, options):
        yield found


def _processor(options: Options) -> Finding:
    cores = resources.physical_cores()
    threads = options.threads or cores
    detail = f"{resources.cpu_name()}, {threads} of {cores} physical cores that may be used"
    if threads > cores:
        return Finding(
            WARN, "processor", detail, f"more threads than cores slow it down: use -t {cores}"
        )
    return Finding(OK, "processor", detail)


def _variant(options: Options) -> Finding:
    try:
        choice = engine_build.start_engine(options)
    except AppError as exc:
        return Finding(FAIL, "CPU variant", exc.problem, exc.hint)
    detail = choice.name
    if choice.rejected:
        why = "; ".join(f"{name}: {reason}" for name, reason in choice.rejected.items())
        return Finding(
            WARN,
            "CPU variant",
            f"{detail}; better ones failed here ({why})",
            "tell whoever made this file: they were built wrongly, or this machine hides features",
        )
    unsupported = sorted(
        name
        for name in variant_files.variants(library_paths.library_folder())
        if choice.scores and not choice.scores.get(name)
    )
    if unsupported:
        detail += f", the best for it (this processor lacks what {', '.join(unsupported)} need)"
    return Finding(OK, "CPU variant", detail)


def _gpu(options: Options) -> Finding:
    found = [device for device in GPU_DEVICES if Path(device).exists()]
    detail = f"{', '.join(found)} found, but not used" if found else "none found"
    detail += "; this build computes on the processor alone"
    if options.gpu_layers > 0:
        return Finding(WARN, "GPU", detail, "-ngl is ignored: leave it out")
    return Finding(OK, "GPU", detail)


def _unpacked() -> Finding | None:
    """Return where the program is kept unpacked; None where it is not."""
    folder = unpack_dir.frozen_folder()
    if folder is None or not unpack_dir.is_kept(folder):
        return None
    size = sum(path.lstat().st_size for path in folder.rglob("*"))
    return Finding(OK, "unpacked", f"kept for the next start: {folder}, {size / 1e6:.0f} MB")


def _temporary_folder() -> Finding:
    what, cure = "temp folder", "name another one: TMPDIR=$HOME/tmp (it must exist)"
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        flags = os.statvfs(folder).f_flag
    except OSError as exc:
        return Finding(FAIL, what, f"none can be written to ({exc.strerror})", cure)
    detail = f"{folder}, {gigabytes(free)} free"
    if flags & getattr(os, "ST_NOEXEC", 8):
        return Finding(FAIL, what, f"{detail}, but nothing in it may be executed", cure)
    if free < UNPACKED:
        cure = f"{gigabytes(UNPACKED)} are needed at every start: free some, or {cure}"
        return Finding(WARN, what, detail, cure)
    return Finding(OK, what, detail)


def _libc(bundle: Bundle | None) -> Finding:
    name, version = platform.libc_ver()
    floor = str(bundle.manifest.stub.get("glibc", "")) if bundle else ""
    detail = f"{name or 'unknown'} {version}" + (f", {floor} needed" if floor else "")
    return Finding(OK, "C library", detail)  # with an older one, the program would not have started


def _sandbox(options: Options) -> Finding:
    what = "sandbox"
    if not options.sandbox:
        return Finding(WARN, what, "none (--no-sandbox)", "it costs nothing: leave that out")
    try:
        held, possible = proof.prove()
    except AppError as exc:
        return Finding(FAIL, what, exc.problem, exc.hint)
    if possible:
        return Finding(
            WARN,
            what,
            f"{held.line()}; once loaded, the program can still {', '.join(possible)}",
            "Linux 5.13 or newer has all that is needed; some containers take it away",
        )
    return Finding(OK, what, f"once loaded, {held.line()}; tried out")


def _payload(bundle: Bundle) -> Finding:
    try:
        for _ in verify_extract.verify(bundle):
            pass
    except AppError as exc:
        return Finding(FAIL, "payload", exc.problem, exc.hint)
    size = sum(section.length for section in bundle.manifest.sections)
    return Finding(OK, "payload", f"{gigabytes(size)}, intact")


def _memory(source: ModelFile, options: Options) -> Finding:
    try:
        plan = source.plan(options)
    except AppError as exc:
        return Finding(FAIL, "memory", exc.problem, exc.hint)
    available = plan.available
    free = gigabytes(available) if available is not None else "an unknown amount"
    detail = f"{gigabytes(plan.needed)} needed with a context of {plan.context}, {free} free"
    if plan.notice:
        return Finding(WARN, "memory", detail, plan.notice)
    if available is not None and plan.needed > available:
        return Finding(WARN, "memory", detail, "take a smaller context (-c), or leave out --no-fit")
    return Finding(OK, "memory", detail)


def _memfd(source: ModelFile, options: Options) -> Finding:
    what = "memory file"
    if not source.compressed:
        return Finding(OK, what, "not needed: the model is mapped where it lies")
    try:
        os.close(os.memfd_create("doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    except (OSError, AttributeError) as exc:
        return Finding(
            WARN,
            what,
            f"not available ({exc}): the model is unpacked to a temporary file",
            f"the temporary folder needs {gigabytes(source.size)} for it",
        )
    how = "the model is unpacked into it" if options.memfd else "not used (--no-memfd)"
    return Finding(OK, what, how)


def _template(source: ModelFile, options: Options) -> Finding:
    what = "template"
    text = options.chat_template
    if not text and source.compressed:
        return Finding(OK, what, "the model's own, if it has one (it is compressed)")
    try:
        if not text:
            header = read_header(source.fd, source.size, label=source.label, offset=source.offset)
            text = header.text("tokenizer.chat_template")
        if not text:
            return Finding(
                WARN,
                what,
                f"the model has none: '{chat_template.FALLBACK}' is used",
                "if the answers are odd, choose the right one with --chat-template",
            )
        template = chat_template.from_text(text)
        template.apply(TemplateInputs(messages=[{"role": "user", "content": "Hello"}]))
    except AppError as exc:
        return Finding(FAIL, what, exc.problem, exc.hint)
    whose = "given" if options.chat_template else "the model's own"
    tools = "in its own form" if template.calls_tools else "in a generic form"
    return Finding(OK, what, f"{whose}; tools are called {tools}")


def _prewarmed(bundle: Bundle | None, source: ModelFile, options: Options) -> Finding | None:
    """Check the prewarmed prompt state; None if the bundle has none."""
    what = "prewarmed"
    section = prefix_state.section_of(bundle) if bundle else None
    if bundle is None or bundle.model is None or section is None:
        return None
    if source.bundle is not bundle:
        return Finding(OK, what, "not used: another model was given")
    try:
        found = prefix_state.read(decompress.original_chunks(bundle, section), section.name)
        context = source.plan(options).context
        sections = bundle.manifest.sections
        strengths = lora_sections.requested(sections, options.lora)
        expected = {
            **prefix_state.conversation_key(options, strengths, sections),
            **engine_build.engine_key(source.header, context, options),
            "model": bundle.model.sha256,
        }
        why = prefix_cache.mismatch(found, expected, context)
    except AppError as exc:
        why = exc.problem
    if why:
        cure = "conversations start slower; what helps: modelembed edit FILE --prewarm"
        return Finding(WARN, what, f"not used: {why}", cure)
    count = len(found.tokens)
    return Finding(OK, what, f"the first {count:,} tokens of every conversation are computed")
