"""A loaded model: its memory planned, its weights in llama.cpp, and what answers over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from runtime.container import prefix_state
from runtime.container.layout import Section
from runtime.dialogue import chat_template, prefix_cache, reasoning
from runtime.dialogue.answerer import LocalAnswerer
from runtime.dialogue.prompt import tokens_of
from runtime.errors import AppError, ModelError
from runtime.host import resources
from runtime.host.progress_bar import Progress, progress
from runtime.inference.embedder import Embedder
from runtime.inference.lora import Lora
from runtime.inference.scheduler import Scheduler
from runtime.inference.stats import Stats
from runtime.model import loader, memory_plan
from runtime.model.engine_build import engine_key, start_engine
from runtime.model.model import Model
from runtime.model.model_file import ModelFile
from runtime.options import builtin_templates
from runtime.options.registry import Options
from runtime.units import gigabytes


def _silent(done: int, total: int) -> None:
    """Show no progress."""


@dataclass
class Timing:
    """Seconds and bytes spent before the first token."""

    restore_s: float = 0.0
    """Only what came before loading: some models are restored while they are loaded."""
    restored_bytes: int = 0
    load_s: float = 0.0
    prewarm_s: float = 0.0
    """To take over the prompt state that was computed while bundling."""


class LoadedModel:
    """A model in llama.cpp, with scheduler, embedder, adapters and chat template over it."""

    def __init__(self, file: ModelFile, options: Options, notify: Callable[[str], None]) -> None:
        """Load `file`; `notify` gets sentences for the user.

        Raise AppError where that fails; then nothing is held.
        """
        self.file = file
        self.options = options
        self._notify = notify
        self.timing = Timing()
        self.prewarmed = 0
        """Tokens at the start of conversations whose state was taken over from the file."""
        self.variant = start_engine(options)
        """The CPU variant in use."""
        if options.chat_template:  # now, before the model is loaded for nothing
            builtin_templates.check(options.chat_template, chat_template.builtin_names())
        self.plan = file.plan(options)
        if self.plan.notice:
            notify(self.plan.notice)
        if options.gpu_layers > 0:
            notify("this build has no GPU support: -ngl is ignored, everything runs on the CPU")
        with ExitStack() as stack:  # where a step fails, what the engine holds is freed
            self.model = self._load()
            stack.callback(self.model.close)
            self.scheduler = self._create_scheduler()
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
            self.template_text = self._choose_template()
            self.markers = reasoning.markers(self.template_text)
            self.template = self._dated_template(datetime.now)
            self._resources = stack.pop_all()

    def close(self) -> None:
        """Free everything the engine holds."""
        self._resources.close()

    @property
    def answerer(self) -> LocalAnswerer:
        """Return what answers a conversation."""
        return LocalAnswerer(self.scheduler, self.model, self.template)

    def _load(self) -> Model:
        begin = time.perf_counter()
        label = f"unpacking {gigabytes(self.file.size)}"
        with progress(label) if self.file.compressed else nullcontext(_silent) as update:
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
        """Return a scheduler with the planned context, or half of it and so on where that fails.

        The plan is an estimate, and what was free may have been taken since.
        """
        context = self.plan.context
        while True:
            try:
                return Scheduler(self.model, self.options, context)
            except ModelError:
                if not self.options.fit or context // 2 < memory_plan.SMALLEST_CONTEXT:
                    raise
            context = context // 2

    def _report_context(self) -> None:
        """Tell the user where the context is another than the one that was planned."""
        planned, found = self.plan.context, self.scheduler.context_size
        if found < planned:
            self._notify(
                f"context reduced from {planned} to {found} tokens: the engine found no memory "
                "for more (--no-fit to insist)"
            )
        elif found >= 2 * planned:
            self._notify(f"the context has {found} tokens: the engine makes none of {planned}")

    def _choose_template(self) -> str:
        """Return the text of the chat template: given, the model's own, or the fallback."""
        text = self.options.chat_template or self.model.chat_template
        if not text:
            self._notify(
                f"the model has no chat template: using '{chat_template.FALLBACK}' "
                "(choose another with --chat-template)"
            )
            text = chat_template.FALLBACK
        if not self.options.think and not reasoning.switchable(text):
            self._notify("the model's template has no switch for thinking: --no-think is ignored")
        return text

    def _dated_template(self, now: Callable[[], datetime]) -> chat_template.Template:
        return chat_template.from_text(
            self.template_text,
            bos=self.model.bos,
            eos=self.model.eos,
            think=self.options.think,
            now=now,
        )

    def prewarm(self) -> None:
        """Take over the prompt state that the file carries, if it fits.

        What does not fit is computed instead; why, only those are told who look at the costs.
        """
        bundle = self.file.bundle
        if bundle is None or prefix_state.section_of(bundle) is None:
            return
        begin = time.perf_counter()
        messages = prefix_cache.first_question(self.options.system, prefix_cache.FIRST_WORDS[0])
        _, tokens = tokens_of(self.template, self.model, messages)
        try:
            self.prewarmed = prefix_cache.load(
                bundle,
                self.scheduler,
                self._prefix_key(),
                tokens,
                threads=self.scheduler.threads,
                memfd=self.options.memfd,
            )
        except AppError as exc:
            if self.options.stats or self.options.verbose:
                self._notify(f"the prewarmed beginning is not used: {exc.problem}")
        self.timing.prewarm_s = time.perf_counter() - begin

    def compute_prefix(self, out: BinaryIO, update: Progress) -> None:
        """Write the state of the tokens that all conversations begin with; see prefix_cache."""
        system = self.options.system
        tokens = prefix_cache.shared_tokens(self._dated_template, self.model, system)
        prefix_cache.compute(self.scheduler, self._prefix_key(), tokens, out, update)

    def state_key(self) -> dict[str, str]:
        """Return what a state of this model, with the adapters in use, belongs to."""
        return {
            **engine_key(self.file.header, self.scheduler.context_size),
            "model": self.file.fingerprint,
            "adapters": prefix_state.adapters_key(self.lora.strengths, self._sections),
        }

    def _prefix_key(self) -> dict[str, str]:
        """Return what the state of the conversations' common prefix belongs to."""
        strengths = self.lora.strengths
        conversation = prefix_state.conversation_key(self.options, strengths, self._sections)
        return {**conversation, **self.state_key()}

    @property
    def _sections(self) -> tuple[Section, ...]:
        """Return the sections of the bundle that the model is in, if it is in one."""
        return self.file.bundle.manifest.sections if self.file.bundle else ()

    def report(self, stats: Stats) -> dict[str, Any]:
        """Return what loading and an answer cost, in seconds and bytes."""
        return {
            "restore_s": self.timing.restore_s,
            "restored_bytes": self.timing.restored_bytes,
            "load_s": self.timing.load_s,
            "prewarm_s": self.timing.prewarm_s,
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
