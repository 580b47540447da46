"""What `modelembed bundle` does once its options are understood: lint, write, prove."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.model import lint
from bundler.packing import bundle as bundling
from runtime.errors import AppError, UsageError
from runtime.host.interrupts import INTERRUPTED
from runtime.options import builtin_templates
from runtime.sanitize import plain

if TYPE_CHECKING:
    from bundler.model.split_files import Opened


class Interrupted(AppError):
    """Ctrl-C came when something was complete; the text says what."""

    exit_code = INTERRUPTED

    def render(self) -> str:
        """Return the text for stderr: no error, but what there is."""
        return f"\ninterrupted; {self.problem}"


def make(
    opened: list[Opened],
    output: Path,
    runtime_path: Path,
    recipe: bundling.Recipe,
    say: Callable[[str], None],
    *,
    check: bool,
) -> None:
    """Make `output` of a model's files and a runtime as `recipe` says; `check` runs it once."""
    from bundler.stub import supply

    runtime = supply.open_stub(runtime_path)
    builtin_templates.check_baked(recipe.defaults, runtime.manifest.stub)
    here = supply.runs_here(runtime)
    if recipe.prewarm and not here:
        raise UsageError(
            "the runtime is for another platform, and cannot compute here",
            hint="leave out --prewarm, or bundle on that platform",
        )
    model = lint.examine(opened)
    for warning in model.warnings:
        say(f"warning: {warning}")
    recipe = replace(recipe, name=recipe.name or model.facts.get("name", "") or output.stem)
    licence = recipe.license or model.facts.get("license", "not stated")
    say(plain(f"model: {recipe.name}, {model.facts['architecture']}, licence: {licence}"))
    template = recipe.defaults.get("chat_template", "")
    further = []
    if recipe.seconds or recipe.docs:
        from bundler.commands import finding_steps  # most programs have neither

        helper = runtime_path if here or not recipe.seconds else supply.stub(say)
        recipe = replace(recipe, seconds=finding_steps.proved(recipe.seconds, helper, say))
        further = [*finding_steps.documents(recipe, helper, say)]
    with ThreadPoolExecutor(1) as pool:
        findings = (
            pool.submit(lint.ask_engine, runtime_path, opened, template)
            if here
            else pool.submit(lint.EngineFindings)
        )
        bundling.make(output, runtime, model, findings, recipe, say, further)
    try:
        say(f"wrote {output}")
        if check and here:
            from bundler.commands import self_check

            for line in self_check.prove(output, model.source.size).lines():
                say(f"  {line}")
        elif check:
            where = runtime.manifest.stub.get("platform", "another platform")
            say(f"not tested: it runs on {where}, and `doctor` tries it there")
    except KeyboardInterrupt:
        raise Interrupted(f"{output} is complete, but was not tested") from None
    say(f"run it: {shlex.quote(str(output if output.is_absolute() else f'./{output}'))}")
