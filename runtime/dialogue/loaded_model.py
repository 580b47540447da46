"""Loaded model: memory plan, weights in llama.cpp, scheduler, chat template, LoRA adapters."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, BinaryIO

from runtime import START
from runtime.chat_format import chat_template
from runtime.chat_format.prompt import build_prompt
from runtime.container import prefix_state
from runtime.container.layout import Section
from runtime.dialogue import prefix_cache
from runtime.dialogue.answerer import LocalAnswerer, inputs_of
from runtime.errors import AppError, MemoryShortage
from runtime.host import resources
from runtime.host.progress_bar import Progress, progress
from runtime.inference.embedder import Embedder
from runtime.inference.lora import Lora
from runtime.inference.scheduler import Scheduler
from runtime.inference.stats import Stats
from runtime.inference.stops import stop_tokens
from runtime.model import loader, memory_plan
from runtime.model.engine_build import engine_key, start_engine
from runtime.model.model import Model
from runtime.model.model_file import ModelFile
from runtime.options import builtin_templates
from runtime.options.registry import Options
from runtime.units import gigabytes


def _no_progress(done: int, total: int) -> None:
    """Show no progress."""


@dataclass
class Timing:
    """Seconds and bytes before the first token."""

    opening_s: float = 0.0
    """From the start of our own code to here: imports, options, the bundle's manifest."""
    engine_s: float = 0.0
    """Choice and loading of the engine's libraries."""
    restore_s: float = 0.0
    """Decompression before loading; 0 if the model is decompressed while it is loaded."""
    restored_bytes: int = 0
    load_s: float = 0.0
    """Loading of the weights, with their repacking."""
    context_s: float = 0.0
    """Allocation of KV cache and buffers."""
    prewarm_s: float = 0.0
    """Loading of the prompt state that was computed while bundling."""


class LoadedModel:
    """A model in llama.cpp, with its scheduler, embedder, LoRA adapters and chat template."""

    def __init__(self, file: ModelFile, options: Options, notify: Callable[[str], None]) -> None:
        """Load `file`; `notify` is called with notes for the user.

        Raise AppError if that fails; everything allocated is then freed.
        """
        self.file = file
        self.options = options
        self._notify = notify
        self.timing = Timing(opening_s=time.perf_counter() - START)
        self.prewarmed = 0
        """Number of prompt tokens whose state was loaded from the bundle."""
        begin = time.perf_counter()
        self.variant = start_engine(options)
        """The CPU variant in use, and why others were rejected."""
        self.timing.engine_s = time.perf_counter() - begin
        if options.chat_template:  # before loading, which takes long
            builtin_templates.check(options.chat_template, chat_template.builtin_names())
        self.plan = file.plan(options)
        if self.plan.notice:
            notify(self.plan.notice)
        if options.gpu_layers > 0:
            notify("this build has no GPU support: -ngl is ignored, everything runs on the CPU")
        with ExitStack() as stack:  # frees the engine's objects if a step fails
            self.model = self._load()
            stack.callback(self.model.close)
            stop_tokens(self.model, options)  # a wrong one is told now, not with each answer
            begin = time.perf_counter()
            self.scheduler = self._create_scheduler()
            self.timing.context_s = time.perf_counter() - begin
            stack.callback(self.scheduler.close)
            self._report_context()
            self.embedder = Embedder(
                self.model,
                options,
                declared=file.header.hyper("pooling_type"),
                threads=self.scheduler.threads,
            )
            stack.callback(self.embedder.close)
            self.lora = Lora(self.model, self.scheduler, file.bundle)
            self.lora.use(options.lora)
            self._resources = stack.pop_all()

    def close(self) -> None:
        """Free everything in the engine."""
        self._resources.close()

    @cached_property
    def template_text(self) -> str:
        """Return the source or name of the chat template; notify the user if it is the fallback."""
        text = self.options.chat_template or self.model.chat_template
        if not text:
            self._notify(
                f"the model has no chat template: using '{chat_template.FALLBACK}' "
                "(choose another with --chat-template)"
            )
        return text or chat_template.FALLBACK

    @cached_property
    def template(self) -> chat_template.Template:
        """Return the chat template; made when it is first used, since completions need none."""
        template = self._make_template(self.template_text)
        if not self.options.think:
            self._check_thinking_switch(template)
        return template

    @property
    def has_template(self) -> bool:
        """Return whether the model has a chat template, its own or one that was given."""
        return bool(self.options.chat_template or self.model.chat_template)

    @property
    def answerer(self) -> LocalAnswerer:
        """Return an answerer for a conversation."""
        return LocalAnswerer(self.scheduler, self.model, self.template)

    def _load(self) -> Model:
        begin = time.perf_counter()
        label = f"unpacking {gigabytes(self.file.size)}"
        with progress(label) if self.file.compressed else nullcontext(_no_progress) as update:
            stream = loader.open_model(self.file, self.options, update, self._notify)
            if self.file.compressed:
                self.timing.restore_s = time.perf_counter() - begin
                self.timing.restored_bytes = self.file.size
            begin = time.perf_counter()
            with stream:
                model = Model(self.file, stream, self.options)
        self.timing.load_s = time.perf_counter() - begin
        return model

    def _create_scheduler(self) -> Scheduler:
        """Return a scheduler with the planned context, halved until the engine can allocate it.

        The plan is an estimate, and other programs may have taken memory since.
        """
        context = self.plan.context
        while True:
            try:
                return Scheduler(self.model, self.options, context)
            except MemoryShortage:
                if not self.options.fit or context // 2 < memory_plan.SMALLEST_CONTEXT:
                    raise
            context = context // 2

    def _report_context(self) -> None:
        """Notify the user if the context size differs from the planned one."""
        planned, found = self.plan.context, self.scheduler.context_size
        if found < planned:
            self._notify(
                f"context reduced from {planned} to {found} tokens: the engine found no memory "
                "for more (--no-fit to insist)"
            )
        elif found >= 2 * planned:
            self._notify(f"the context has {found} tokens: the engine makes none of {planned}")

    def _make_template(self, text: str) -> chat_template.Template:
        own = not self.options.chat_template
        return chat_template.from_text(
            text,
            bos=self.model.bos,
            eos=self.model.eos,
            tool_use=self.model.tool_use_template if own else "",
        )

    def _check_thinking_switch(self, template: chat_template.Template) -> None:
        """Notify the user if the template writes the same prompt without reasoning as with it."""
        question = prefix_cache.first_question("", prefix_cache.SAMPLE_QUESTIONS[0])
        inputs = inputs_of(question, self.options)
        with_reasoning = replace(inputs, enable_thinking=True)
        if template.apply(inputs).text == template.apply(with_reasoning).text:
            self._notify("the model's template has no switch for thinking: --no-think is ignored")

    def prewarm(self) -> None:
        """Load the prompt state from the bundle, if it has a matching one.

        Otherwise the prompt is decoded as usual; the reason is a note with --stats or -v only.
        """
        bundle = self.file.bundle
        if bundle is None or prefix_state.section_of(bundle) is None:
            return
        begin = time.perf_counter()
        messages = prefix_cache.first_question(
            self.options.system, prefix_cache.SAMPLE_QUESTIONS[0]
        )
        tokens = build_prompt(self.template, self.model, inputs_of(messages, self.options)).tokens
        try:
            self.prewarmed = prefix_cache.load(
                bundle,
                self.scheduler,
                self._prefix_key(),
                tokens,
                threads=self.scheduler.threads,
            )
        except AppError as exc:
            if self.options.stats or self.options.verbose:
                self._notify(f"the prewarmed beginning is not used: {exc.problem}")
        self.timing.prewarm_s = time.perf_counter() - begin

    def compute_prefix(self, out: BinaryIO, update: Progress) -> None:
        """Write the state of the tokens that all conversations begin with; see prefix_cache."""
        another_day = self._make_template(chat_template.on_another_day(self.template_text))
        tokens = prefix_cache.shared_tokens([self.template, another_day], self.model, self.options)
        prefix_cache.compute(self.scheduler, self._prefix_key(), tokens, out, update)

    def state_key(self) -> dict[str, str]:
        """Return the properties of model and adapters that a saved state depends on."""
        return {
            **engine_key(self.file.header, self.scheduler.context_size, self.options),
            "model": self.file.fingerprint,
            "adapters": prefix_state.adapters_key(self.lora.strengths, self._sections),
        }

    def _prefix_key(self) -> dict[str, str]:
        """Return the properties that the prompt state of all conversations depends on."""
        strengths = self.lora.strengths
        conversation = prefix_state.conversation_key(self.options, strengths, self._sections)
        return {**conversation, **self.state_key()}

    @property
    def _sections(self) -> tuple[Section, ...]:
        """Return the sections of the model's bundle, empty if it is not in one."""
        return self.file.bundle.manifest.sections if self.file.bundle else ()

    def report(self, stats: Stats) -> dict[str, Any]:
        """Return the costs of loading and of an answer, in seconds and bytes."""
        return {
            **asdict(self.timing),
            "prewarmed_tokens": self.prewarmed,
            "prompt_tokens": stats.prompt_tokens,
            "cached_tokens": stats.cached_tokens,
            "prompt_s": stats.prompt_seconds,
            "generated_tokens": stats.generated_tokens,
            "generate_s": stats.generate_seconds,
            "reason": stats.reason,
            "context": self.scheduler.context_size,
            "threads": self.scheduler.threads,
            "cpu": self.variant.name,
            "memory": resources.memory_use(),
        }
