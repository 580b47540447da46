"""Checks of what a file holds: its payload, and whether the model can be used here."""

from __future__ import annotations

import os
from collections.abc import Generator

from runtime.chat_format import chat_template
from runtime.chat_format.chat_template import TemplateInputs
from runtime.commands.bundles import verify_extract
from runtime.commands.checks.finding import FAIL, OK, WARN, Finding
from runtime.container import lora_sections, prefix_state, second_models
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.container.text_form import TextForm
from runtime.devices import placement
from runtime.devices.engine import Engine
from runtime.dialogue import prefix_cache
from runtime.errors import AppError
from runtime.gguf.header import read_header
from runtime.model import engine_build, memory_plan, model_file
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.units import gigabytes
from runtime.weights import decompress
from runtime.weights.stdio_file import RangeFile


def layers(source: ModelFile, started: Engine, options: Options) -> Finding:
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


def payload(bundle: Bundle) -> Finding:
    """Return whether the payload is intact."""
    try:
        for _ in verify_extract.verify(bundle):
            pass
    except AppError as exc:
        return Finding(FAIL, "payload", exc.problem, exc.hint)
    size = sum(section.length for section in bundle.manifest.sections)
    return Finding(OK, "payload", f"{gigabytes(size)}, intact")


def second_model(bundle: Bundle, section: Section) -> Finding:
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


def projector(source: ModelFile, options: Options) -> Generator[Finding, None, ModelFile]:
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


def memory(source: ModelFile, options: Options, spare: int) -> Finding:
    """Return whether there is memory for the model; `spare` is that of other devices."""
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


def memory_file(source: ModelFile, options: Options) -> Finding:
    """Return whether a compressed model can be unpacked into memory."""
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


def template(source: ModelFile, options: Options) -> Finding:
    """Return whether there is a chat template, and whether it can be used."""
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


def prewarmed(bundle: Bundle | None, source: ModelFile, options: Options) -> Finding | None:
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
