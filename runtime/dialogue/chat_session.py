"""From options to a conversation: pick the model, check memory, load."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from runtime.container import prefix_state
from runtime.dialogue import chat_template, prefix_cache, reasoning
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.prompt import build_prompt
from runtime.dialogue.session_store import SessionStore
from runtime.errors import AppError, ModelError
from runtime.host import resources
from runtime.host.progress_bar import Progress, progress
from runtime.inference.embedder import Embedder
from runtime.inference.lora import Lora
from runtime.inference.scheduler import Scheduler
from runtime.model import loader, memory_plan
from runtime.model.backend import engine_key, start_engine
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
    """To take over what was computed with the file."""
    first_token_s: float = 0.0
    """From the start of this program's own code, what was before the first token included."""


class Session:
    """A loaded model with an engine and a conversation over it."""

    def __init__(self, source: ModelFile, options: Options, notify: Callable[[str], None]) -> None:
        """Load `source`; `notify` gets sentences for the user. Raise AppError on failure."""
        self.options = options
        self._notify = notify
        self.timing = Timing()
        self.prewarmed = 0
        """Tokens of the conversation's beginning that were taken over, computed."""
        self.source = source
        self.choice = start_engine(options)
        if options.chat_template:  # now, before the model is loaded for nothing
            builtin_templates.check(options.chat_template, chat_template.builtin_names())
        self.plan = source.plan(options)
        if self.plan.notice:
            notify(self.plan.notice)
        if options.gpu_layers > 0:
            notify("this build has no GPU support: -ngl is ignored, everything runs on the CPU")
        with ExitStack() as held:  # where a step fails, what the engine holds is freed
            self.model = self._load()
            held.callback(self.model.close)
            self.engine = self._engine()
            held.callback(self.engine.close)
            self._say_context()
            self.embedder = Embedder(
                self.model,
                options,
                declared=source.header.hyper("pooling_type"),
                threads=self.engine.threads,
            )
            held.callback(self.embedder.close)
            self.lora = Lora(self.model, self.engine, source.bundle)
            self.lora.use(options.lora)
            self.conversation = Conversation(
                self.engine, self.model, self._template(notify), options, notify
            )
            self.keeper = SessionStore(self.conversation, self.engine, self._state_key, notify)
            self._held = held.pop_all()

    def close(self) -> None:
        """Free everything the engine holds."""
        self._held.close()

    def _engine(self) -> Scheduler:
        """Return an engine with the planned context, or half of it and so on where that fails.

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

    def _say_context(self) -> None:
        """Say where the context is another than the one that was planned."""
        planned, found = self.plan.context, self.engine.context_size
        if found < planned:
            self._notify(
                f"context reduced from {planned} to {found} tokens: the engine found no memory "
                "for more (--no-fit to insist)"
            )
        elif found >= 2 * planned:
            self._notify(f"the context has {found} tokens: the engine makes none of {planned}")

    def _load(self) -> Model:
        begin = time.perf_counter()
        label = f"unpacking {gigabytes(self.source.size)}"
        with progress(label) if self.source.compressed else nullcontext(_silent) as update:
            file = loader.open_model(self.source, self.options, update, self._notify)
            if self.source.compressed:
                self.timing.restore_s = time.perf_counter() - begin
                self.timing.restored_bytes = self.source.size
            begin = time.perf_counter()
            with file:
                model = Model(self.source, file, self.options)
        self.timing.load_s = time.perf_counter() - begin
        return model

    def prewarm(self) -> None:
        """Take over the state of the conversation's beginning that the file carries, if it fits.

        What does not fit is computed instead; why, is said only to those who look at the costs.
        """
        bundle = self.source.bundle
        if bundle is None or prefix_state.section_of(bundle) is None:
            return
        begin = time.perf_counter()
        talk = self.conversation
        messages = prefix_cache.opening(talk.system, prefix_cache.FIRST_WORDS[0])
        try:
            self.prewarmed = prefix_cache.adopt(
                bundle,
                self.engine,
                self._beginning_key(),
                build_prompt(talk.template, talk.tokenizer, messages).tokens,
                threads=self.engine.threads,
                memfd=self.options.memfd,
            )
        except AppError as exc:
            if self.options.stats or self.options.verbose:
                self._notify(f"the prewarmed beginning is not used: {exc.problem}")
        self.timing.prewarm_s = time.perf_counter() - begin

    def compute_beginning(self, out: BinaryIO, update: Progress) -> None:
        """Write the state of how all conversations of this session begin; see warmup."""
        talk = self.conversation
        tokens = prefix_cache.shared_tokens(self._dated_template, talk.tokenizer, talk.system)
        prefix_cache.compute(self.engine, self._beginning_key(), tokens, out, update)

    def _state_key(self) -> dict[str, str]:
        """Return what a state of this session belongs to."""
        bundle = self.source.bundle
        sections = bundle.manifest.sections if bundle else ()
        return {
            **engine_key(self.source.header, self.engine.context_size),
            "model": self.source.fingerprint,
            "adapters": prefix_state.adapters_key(self.lora.strengths, sections),
        }

    def _beginning_key(self) -> dict[str, str]:
        """Return what the state of this session's beginning belongs to."""
        bundle = self.source.bundle
        sections = bundle.manifest.sections if bundle else ()
        conversation = prefix_state.conversation_key(self.options, self.lora.strengths, sections)
        return {**conversation, **self._state_key()}

    def _template(self, notify: Callable[[str], None]) -> chat_template.Template:
        text = self.options.chat_template or self.model.chat_template
        if not text:
            notify(
                f"the model has no chat template: using '{chat_template.FALLBACK}' "
                "(choose another with --chat-template)"
            )
            text = chat_template.FALLBACK
        self.template_text = text
        self.markers = reasoning.markers(text)
        if not self.options.think and not reasoning.switchable(text):
            notify("the model's template has no switch for thinking: --no-think is ignored")
        return self._dated_template(datetime.now)

    def _dated_template(self, now: Callable[[], datetime]) -> chat_template.Template:
        return chat_template.from_text(
            self.template_text,
            bos=self.model.bos,
            eos=self.model.eos,
            think=self.options.think,
            now=now,
        )

    def report(self) -> dict[str, Any]:
        """Return what this run cost, in seconds and bytes."""
        stats = self.conversation.stats
        return {
            "restore_s": self.timing.restore_s,
            "restored_bytes": self.timing.restored_bytes,
            "load_s": self.timing.load_s,
            "prewarm_s": self.timing.prewarm_s,
            "prewarmed_tokens": self.prewarmed,
            "first_token_s": self.timing.first_token_s,
            "prompt_tokens": stats.prompt_tokens,
            "cached_tokens": stats.cached_tokens,
            "prompt_s": stats.prompt_seconds,
            "generated_tokens": stats.generated_tokens,
            "generate_s": stats.generate_seconds,
            "reason": stats.reason,
            "context": self.engine.context_size,
            "threads": self.engine.threads,
            "cpu": self.choice.name,
            "memory": resources.memory_use(),
        }
