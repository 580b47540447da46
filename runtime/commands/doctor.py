"""`doctor`: checks of everything that a run depends on, with a remedy for each problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runtime.commands.checks import contents, machine
from runtime.commands.checks.finding import FAIL, OK, Finding
from runtime.container import second_models
from runtime.container.bundle_file import Bundle
from runtime.devices import engine, placement, remote
from runtime.errors import AppError
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.units import gigabytes


def examine(
    bundle: Bundle | None, find: Callable[[], ModelFile], options: Options, *, verify: bool
) -> Iterator[Finding]:
    """Yield the result of each check; `find` opens the model."""
    sandboxed = machine.sandbox(options)  # forks, which the engine must not have been started for
    yield machine.processor(options)
    machines = yield from machine.machines(options)
    try:
        started = engine.start(options)
    except AppError as exc:
        yield Finding(FAIL, "engine", exc.problem, exc.hint)
        return
    yield machine.variant(started.variant)
    yield machine.gpu(started, options)
    if machines:
        started = started.beside(remote.devices(machines, options.rpc_timeout))
    yield machine.unpacked() or machine.temporary_folder()
    yield machine.c_library(bundle)
    yield sandboxed
    if bundle and bundle.manifest.sections:
        unchecked = Finding(OK, "payload", "not checked (--no-verify)")
        yield contents.payload(bundle) if verify else unchecked
    try:
        source = find()
    except AppError as exc:
        yield Finding(FAIL, "model", exc.problem, exc.hint)
        return
    name = source.header.metadata.get("general.name") or source.header.architecture
    yield Finding(OK, "model", f"{name}, {gigabytes(source.size)}")
    if started.devices:
        yield contents.layers(source, started, options)
    if bundle:
        for section in second_models.sections_of(bundle):
            yield contents.second_model(bundle, section)
    source = yield from contents.projector(source, options)
    yield contents.memory(source, options, placement.spare_memory(started))
    yield contents.memory_file(source, options)
    yield contents.template(source, options)
    if found := contents.prewarmed(bundle, source, options):
        yield found
