"""Loaded model: memory plan, weights in llama.cpp, scheduler, chat template, LoRA adapters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from runtime import START
from runtime.chat_format import chat_template
from runtime.chat_format.prompt import build_prompt
from runtime.container import prefix_state
from runtime.container.layout import Section
from runtime.devices import engine, loss, placement
from runtime.devices.warm_up import warm_up
from runtime.dialogue import prefix_cache
from runtime.dialogue.answerer import LocalAnswerer, StrangersReader, inputs_of
from runtime.dialogue.model_opening import ModelOpening, Opened, Timing
from runtime.errors import AppError
from runtime.host import resources
from runtime.host.progress_bar import Progress
from runtime.inference.lora import Lora
from runtime.inference.stats import Stats
from runtime.inference.vectors.embedder import Embedder
from runtime.inference.vectors.reranker import Reranker
from runtime.model import loader
from runtime.model.engine_build import engine_key
from runtime.model.model_file import ModelFile
from runtime.options import builtin_templates
from runtime.options.loading import AUTO_LAYERS
from runtime.options.registry import Options

if TYPE_CHECKING:
    from runtime.devices.spread import Spread
    from runtime.inference.scheduler import Scheduler
    from runtime.retrieval.grounding import Grounder
    from runtime.retrieval.helpers import Helpers
    from runtime.retrieval.library import Library


class LoadedModel:
    """A model in llama.cpp, with its scheduler, embedder, LoRA adapters and chat template."""

    def __init__(self, file: ModelFile, options: Options, notify: Callable[[str], None]) -> None:
        """Load `file`; `notify` is called with notes for the user.

        Raise AppError if that fails; everything allocated is then freed.
        """
        if options.sleeps:
            file, options = loader.reloadable(file, options, notify)
        self.file = file
        self.options = options
        self._notify = notify
        self.library: Library | None = None
        """The documents that it answers from, if there are any; see `use_documents`."""
        self.timing = Timing(opening_s=time.perf_counter() - START)
        self.when_lost: Callable[[], object] = lambda: None
        """Called, on a thread of the engine's, once a machine is lost and all answers are ended."""
        self.prewarmed = 0
        """Number of prompt tokens whose state was loaded from the bundle."""
        begin = time.perf_counter()
        self.spread = self._spread() if options.rpc else None
        """The other machines that compute it, if there are any."""
        self.engine = engine.start(options)
        if self.spread:
            self.engine = self.engine.beside(self.spread.begin(self._lose))
        self.variant = self.engine.variant
        """The CPU variant in use, and why others were rejected."""
        self.timing.engine_s = time.perf_counter() - begin
        if options.chat_template:  # before loading, which takes long
            builtin_templates.check(options.chat_template, chat_template.builtin_names())
        self.plan = file.plan(options, placement.spare_memory(self.engine))
        if self.plan.notice:
            notify(self.plan.notice)
        self._report_problem()
        self._helpers: Helpers | None = None
        with ExitStack() as stack:  # frees the engine's objects if a step fails
            self._load(stack, ModelOpening(file, self.engine, options, notify, self.timing))
            self._report_context()
            self.lora = Lora(self.model, self.scheduler, file.bundle, keep=options.sleeps)
            self.lora.use(options.lora)
            self._resources = stack.pop_all()

    def _load(self, stack: ExitStack, opening: ModelOpening, before: Opened | None = None) -> None:
        """Load what `stack` frees: model, scheduler, embedder, reranker.

        They were loaded `before`, unless the program starts: the context has the same size then.
        Raise AppError if that fails.
        """
        if self.file.shared:
            self.file.shared.enter()
            stack.callback(self.file.shared.leave)
        if before:
            opened = opening.open(before.scheduler.context_size, before.offload)
        else:
            opened = opening.open(self.plan.context)
        self._opened, self.model, self.scheduler = opened, opened.model, opened.scheduler
        stack.callback(self.model.close)
        stack.callback(self.scheduler.close)
        if before:  # what is counted goes on
            self.scheduler.decoding.steps += before.scheduler.decoding.steps
            self.scheduler.decoding.busy_steps += before.scheduler.decoding.busy_steps
        self.devices = (
            placement.line(
                self.engine, opened.device_layers, self.model.layers, opened.device_bytes
            )
            if opened.offload.layers
            else ""
        )
        """Where layers of the model are, in words; empty for the processor alone."""
        if self.devices:
            if not before:
                self._notify(self.devices)
            self._watch_devices()
            warm_up(self.scheduler, self.file.header, self.engine, self._notify)
        declared, threads = self.file.header.hyper("pooling_type"), self.scheduler.threads
        if self.file.projector:
            from runtime.model.projector.projector import Projector  # most take text alone

            device = self.engine.own_devices[0][1] if self.devices else None
            self.model.projector = Projector(
                self.file.projector, self.model.handle, self.options, threads, device
            )
        self.embedder = Embedder(self.model, self.options, declared=declared, threads=threads)
        stack.callback(self.embedder.close)
        self.reranker = Reranker(self.model, self.options, declared=declared, threads=threads)
        stack.callback(self.reranker.close)

    def close(self) -> None:
        """Free everything in the engine; nothing if that would never return."""
        if not self.scheduler.lost:
            self._resources.close()

    def sleep(self) -> None:
        """Free everything in the engine, until `wake`; nothing may use it meanwhile.

        What was read of the model remains: its names, sizes and template.
        """
        self.close()
        resources.return_free_memory()

    def wake(self) -> None:
        """Load again what `sleep` has freed, with the same context, adapters and prompt state.

        Raise AppError if that fails; it sleeps on then.
        """
        before = self._opened
        spare = placement.spare_memory(self.engine)
        self.file.require_room(self.options, before.scheduler.context_size, spare)
        opening = ModelOpening(
            self.file, self.engine, self.options, self._notify, Timing(), again=True
        )
        with ExitStack() as stack:
            self._load(stack, opening, before)
            self.lora.move_to(self.model, self.scheduler)
            if self._helpers:
                self._helpers.open()
                stack.callback(self._helpers.close)
            if self.prewarmed:
                self.prewarm()
            self._resources = stack.pop_all()

    def use_documents(self, library: Library, helpers: Helpers) -> None:
        """Answer from documents, which are found by `helpers`; they are closed with the model."""
        self.library, self._helpers = library, helpers
        self._resources.callback(helpers.close)

    def _spread(self) -> Spread:
        from runtime.devices.spread import Spread  # most models are computed here alone

        return Spread(self.options)

    def _watch_devices(self) -> None:
        """Notice when devices of this machine fail."""
        if names := ", ".join(device.title for device, _ in self.engine.own_devices):
            loss.watch(self.scheduler, names, self.options.device_timeout, self._lose)

    def _lose(self, error: AppError) -> bool:
        """End all answers with `error`, since the engine never returns; return if there were any.

        While the model is being loaded, there are none.
        """
        scheduler: Scheduler | None = getattr(self, "scheduler", None)
        if scheduler is None:
            return False
        were_any = scheduler.lose(error)
        self.when_lost()
        return were_any

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

    @property
    def grounder(self) -> Grounder | None:
        """Return what finds passages of the documents for questions, None without documents."""
        if self.library is None:
            return None
        from runtime.dialogue.rewriting import CAPABLE, Rewriter
        from runtime.retrieval.grounding import Grounder  # most programs have no documents

        reader = StrangersReader(self.model, self.template)
        capable = self.model.parameters >= CAPABLE
        rewrite = Rewriter(self.answerer, self.options) if capable else None
        return Grounder(self.library, reader, self.options.passages, rewrite)

    def _report_problem(self) -> None:
        """Notify the user if a GPU was asked for, and none is used."""
        asked = self.options.gpu_layers != AUTO_LAYERS or self.options.device
        if self.engine.problem and (asked or self.options.verbose):
            self._notify(f"no GPU is used: {self.engine.problem}")

    def _report_context(self) -> None:
        """Notify the user if the context size differs from the planned one."""
        planned, found = self.plan.context, self.scheduler.context_size
        if found < planned:
            self._notify(
                f"context reduced from {planned} to {found} tokens: the engine found no memory "
                "for more (--no-fit to insist)"
            )
        elif found >= 2 * planned:
            self._notify(
                f"the context has {found} tokens, not {planned}: the engine has none so small"
            )

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
        other_days = [
            self._make_template(chat_template.on_day(self.template_text, day))
            for day in chat_template.OTHER_DAYS
        ]
        tokens = prefix_cache.shared_tokens([self.template, *other_days], self.model, self.options)
        prefix_cache.compute(self.scheduler, self._prefix_key(), tokens, out, update)

    def state_key(self, strengths: Mapping[str, float] | None = None) -> dict[str, str]:
        """Return the properties of model, projector and adapters that a saved state depends on.

        `strengths` are those of the adapters, if not as for all answers.
        """
        seen_by = {"projector": self.file.projector.fingerprint} if self.file.projector else {}
        return {**seen_by, **self._text_key(strengths)}

    def _text_key(self, strengths: Mapping[str, float] | None = None) -> dict[str, str]:
        """Return what the state of a text alone depends on, whatever the model sees by."""
        used = self.lora.strengths if strengths is None else strengths
        return {
            **engine_key(self.file.header, self.scheduler.context_size, self.options),
            "model": self.file.fingerprint,
            "adapters": prefix_state.adapters_key(used, self._sections),
        }

    def _prefix_key(self) -> dict[str, str]:
        """Return the properties that the prompt state of all conversations depends on."""
        strengths = self.lora.strengths
        conversation = prefix_state.conversation_key(self.options, strengths, self._sections)
        return {**conversation, **self._text_key()}

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
            "devices": self.devices,
            "machines": [machine.name for machine in self.spread.machines] if self.spread else [],
            "memory": resources.memory_use(),
        }
