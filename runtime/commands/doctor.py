"""`doctor`: checks of everything that a run depends on, with a remedy for each problem."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from runtime.chat_format import chat_template
from runtime.chat_format.chat_template import TemplateInputs
from runtime.commands.bundles import verify_extract
from runtime.container import lora_sections, prefix_state, second_models
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.container.text_form import TextForm
from runtime.devices import backend, engine, placement, presence, remote
from runtime.devices.engine import Engine
from runtime.devices.remote import Machine
from runtime.dialogue import prefix_cache
from runtime.errors import AppError
from runtime.gguf.header import read_header
from runtime.host import library_paths, resources, unpack_dir
from runtime.model import engine_build, memory_plan, model_file, variant_files
from runtime.model.cpu_variants import Selection
from runtime.model.model_file import ModelFile
from runtime.options.loading import AUTO_LAYERS
from runtime.options.registry import Options
from runtime.sandbox import proof
from runtime.sanitize import plain
from runtime.units import gigabytes
from runtime.weights import decompress
from runtime.weights.stdio_file import RangeFile

OK, WARN, FAIL = "ok", "warn", "fail"
UNPACKED = 80 << 20  # bytes that the first stage and the search for a CPU variant unpack


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
    machines = yield from _machines(options)
    try:
        started = engine.start(options)
    except AppError as exc:
        yield Finding(FAIL, "engine", exc.problem, exc.hint)
        return
    yield _variant(started.variant)
    yield _gpu(started, options)
    if machines:
        started = started.beside(remote.devices(machines, options.rpc_timeout))
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
    if started.devices:
        yield _placed(source, started, options)
    if bundle:
        for section in second_models.sections_of(bundle):
            yield _second_model(bundle, section)
    source = yield from _projector(source, options)
    yield _memory(source, options, placement.spare_memory(started))
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


def _variant(choice: Selection) -> Finding:
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


def _gpu(started: Engine, options: Options) -> Finding:
    """Return what is known about GPUs before there is a model to place on them."""
    what = "GPU"
    asked = options.gpu_layers != AUTO_LAYERS or bool(options.device)
    left_out = "; ".join(f"{name}: {why}" for name, why in started.choice.rejected.items())
    cure = "a newer driver may do; --device NAME asks for one, -ngl 0 for none"
    if started.devices:
        names = ", ".join(
            f"{found.title} ({found.name}) by {found.by}" for found, _ in started.devices
        )
        if left_out:
            return Finding(WARN, what, f"{names}; left out: {left_out}", cure)
        return Finding(OK, what, f"{names}; tried out")
    if left_out:
        return Finding(WARN, what, f"none is used; left out: {left_out}", cure)
    if not started.problem:
        return Finding(OK, what, "not asked for: the processor does it all")
    nodes = ", ".join(presence.nodes())
    ways = [backend.WAYS[name] for name in backend.known(library_paths.library_folder())]
    looked = f"; this program uses them by {' or '.join(ways)}" if ways else ""
    detail = f"none is used: {started.problem}{looked}" + f" ({nodes} are there)" * bool(nodes)
    cure = "leave out -ngl and --device, or install a driver for Vulkan and libvulkan1"
    return Finding(WARN, what, detail, cure) if asked or nodes else Finding(OK, what, detail)


def _placed(source: ModelFile, started: Engine, options: Options) -> Finding:
    """Return how the model would be spread over GPUs and machines."""
    what = "layers"
    if source.compressed:
        return Finding(OK, what, "as they fit (the model is compressed: its start line tells)")
    try:
        context = source.plan(options, placement.spare_memory(started)).context
        with RangeFile(source.fd, source.offset) as stream:
            offload = placement.place(stream, started, options, context)
            layers, needs = placement.needs(stream, offload, options, context)
    except AppError as exc:
        return Finding(FAIL, what, exc.problem, exc.hint)
    count = layers if offload.layers < 0 else min(offload.layers, layers)
    if not count:
        return Finding(WARN, what, f"none of {layers} fit", "free some of the GPU's memory")
    used = sum(need.used for need in needs[:-1])
    return Finding(OK, what, placement.line(started, count, layers, used))


def _machines(options: Options) -> Generator[Finding, None, list[Machine]]:
    """Yield what each machine of --rpc offers; return those that can be used."""
    found = []
    for name in remote.names(options.rpc):
        try:
            machine = remote.find(name)
        except AppError as exc:
            yield Finding(FAIL, "machine", exc.problem, exc.hint)
        else:
            found.append(machine)
            open_to_all = "" if machine.is_here else "; neither password nor encryption on the way"
            yield Finding(OK, "machine", machine.line() + open_to_all)
    return found


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


def _second_model(bundle: Bundle, section: Section) -> Finding:
    """Return what is known about an embedding or reranking model."""
    try:
        source = model_file.from_section(bundle, section)
        if section.kind == second_models.EMBEDDER:
            TextForm.of(section.facts, section.name)
    except AppError as exc:
        return Finding(FAIL, section.kind, exc.problem, exc.hint)
    needed = gigabytes(source.size + memory_plan.SECOND_MODEL)
    detail = f"{second_models.line(section.kind, section.facts)}, {gigabytes(source.size)}"
    return Finding(OK, section.kind, f"{detail}, {needed} of memory")


def _projector(source: ModelFile, options: Options) -> Generator[Finding, None, ModelFile]:
    """Yield what is known about the projector, if there is one; return the model with it."""
    try:
        joined = model_file.with_projector(source, options)
    except AppError as exc:
        yield Finding(FAIL, "projector", exc.problem, exc.hint)
        return source
    if found := joined.projector:
        detail = f"takes {found.traits.takes} ({found.traits.type}), {gigabytes(found.needed)}"
        yield Finding(OK, "projector", f"{detail} of memory")
    return joined


def _memory(source: ModelFile, options: Options, spare: int) -> Finding:
    try:
        plan = source.plan(options, spare)
    except AppError as exc:
        return Finding(FAIL, "memory", exc.problem, exc.hint)
    available = plan.available
    free = gigabytes(available) if available is not None else "an unknown amount"
    detail = f"{gigabytes(plan.needed)} needed with a context of {plan.context}, {free} free"
    if spare:
        detail += f", {gigabytes(spare)} of it on other devices"
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
