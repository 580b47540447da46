"""Selection of the devices to compute on: those that work here, the fastest kind of them.

What was found out is remembered for these devices, drivers and this build.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from runtime.devices import backend, nvidia, presence, trial
from runtime.devices.backend import CUDA, VULKAN, WAYS, Device
from runtime.errors import AppError, UsageError
from runtime.host import resources
from runtime.model import probing
from runtime.options.loading import AUTO_LAYERS, NO_LAYERS
from runtime.options.registry import Options

NONE = "none"
"""What `--device` calls the processor alone."""
KEYS = {"visible": str, "devices": list, "refused": dict, "problem": str}
"""Of a verdict."""
UNTRIED = "another one is asked for"
REMEMBERED = {**get_type_hints(Device), "failure": str}
"""Of each device in a verdict."""
PASSING = (*probing.TRANSIENT, "cannot be unpacked")
"""What a verdict is not remembered for."""


@dataclass(frozen=True)
class Choice:
    """The devices to compute on, and why others are left out."""

    devices: Sequence[Device] = ()
    libraries: Sequence[Path] = ()
    """Those of the devices' backends."""
    visible: str = ""
    """What VISIBLE must be for the engine to see them; empty for what it is."""
    rejected: Mapping[str, str] = field(default_factory=dict)
    """Devices and backends that failed, by their titles, with the reason."""
    problem: str = ""
    """Why there are none, in words; empty if none were asked for."""
    forget: Callable[[], None] = field(default=lambda: None, compare=False)
    """Has the next start try devices again, in place of what is remembered of them."""


def may_use_devices(options: Options) -> bool:
    """Return whether the options, and what there may be, leave the choice open."""
    return not _declined(options) and (_named(options) or presence.possible())


def by_processor(options: Options) -> Options:
    """Return the options with the processor alone to compute."""
    return replace(options, gpu_layers=NO_LAYERS, device="")


def choose(
    folder: Path, variant: Path, probe: Path, options: Options, *, build: str = ""
) -> Choice:
    """Return the devices to use, of those that the backends in `folder` know.

    `variant` is the CPU variant in use, `probe` and `build` are as for cpu_variants.choose. Forks,
    so it must run before the engine or any thread is started. Raise UsageError if there is no
    device of a name that was asked for.
    """
    if _declined(options):
        return Choice()
    if not may_use_devices(options):
        return Choice(problem="no GPU was found")
    known = backend.known(folder)
    if not known:
        return Choice(problem="this build computes on the processor alone")
    wanted = _names(options)
    asked = _named(options) or options.gpu_layers != AUTO_LAYERS
    facts = (presence.facts(), variant.name, options.device, asked, build)
    identity = "\n".join(map(str, facts)) if build else ""
    cache = probing.VerdictCache("gpu", identity, KEYS)
    verdict = _remembered(cache)
    if verdict is None:
        with cache.found_out_by_one(trial.OTHERS_SECONDS, trial.notice_of_another()):
            verdict = _remembered(cache)  # of another program, meanwhile
            if verdict is None:
                threads = options.threads or resources.physical_cores()
                libraries, refused = _usable(folder, known)
                setups = [trial.Setup(library, variant, probe, threads) for library in libraries]
                verdict = _tried(setups, refused, wanted, asked=asked)
                if not any(words in json.dumps(verdict) for words in PASSING):
                    cache.store(verdict)
    return replace(_chosen(verdict, wanted, folder), forget=cache.forget)


def loaded(choice: Choice) -> Sequence[tuple[Device, int]]:
    """Load the backends into this process; return the chosen devices that they have, with pointers.

    These are `ggml_backend_dev_t`. Raise AppError if no backend can be loaded: it could in
    another process just now, or at an earlier start.
    """
    found: dict[Device, int] = {}
    problem = None
    with trial.visible_to_engine(choice.visible):
        for library in choice.libraries:
            try:
                pointers = backend.load(library)
            except AppError as exc:
                problem = exc
            else:
                found.update((backend.described(pointer), pointer) for pointer in pointers)
    if problem and not found:
        raise problem
    return [(device, found[device]) for device in choice.devices if device in found]


def _remembered(cache: probing.VerdictCache) -> dict[str, Any] | None:
    """Return the verdict of an earlier start; None if there is none, or none that makes sense."""
    verdict = cache.load()
    if verdict is None:
        return None
    makes_sense = all(
        isinstance(found, dict)
        and {name: type(value) for name, value in found.items()} == REMEMBERED
        and found["by"] in WAYS.values()
        for found in verdict["devices"]
    ) and all(isinstance(why, str) for why in verdict["refused"].values())
    return verdict if makes_sense else None


def _declined(options: Options) -> bool:
    """Return whether the user wants the processor alone."""
    return options.gpu_layers == NO_LAYERS or _names(options) == [NONE]


def _named(options: Options) -> bool:
    """Return whether the user says which devices there are."""
    return bool(_names(options) or os.environ.get(trial.VISIBLE))


def _names(options: Options) -> list[str]:
    return [name.strip() for name in options.device.split(",") if name.strip()]


def _usable(folder: Path, known: Sequence[str]) -> tuple[list[Path], dict[str, str]]:
    """Return the libraries of the backends that may serve here, and why others do not, in words."""
    names, refused = list(known), {}
    if CUDA in names and not presence.nvidia():
        names.remove(CUDA)
    elif CUDA in names and (problem := nvidia.problem()):
        names.remove(CUDA)
        refused[WAYS[CUDA]] = problem
    libraries, problems = _unpacked(folder, names)
    return libraries, {**refused, **problems}


def _unpacked(folder: Path, names: Sequence[str]) -> tuple[list[Path], dict[str, str]]:
    """Return the libraries of backends, and why others cannot be had."""
    libraries, problems = [], {}
    for name in names:
        try:
            libraries.append(backend.library(folder, name))
        except AppError as exc:
            problems[WAYS[name]] = exc.problem
    return libraries, problems


def _tried(
    setups: Sequence[trial.Setup],
    refused: Mapping[str, str],
    wanted: Sequence[str],
    *,
    asked: bool,
) -> dict[str, Any]:
    """List the devices of each backend, and try each of them; return the verdict.

    A card that works by a faster backend is not tried by others, unless some are named. Where one
    is named that is not there, which is an error, no time is spent on others.
    """
    visible, problems = "", dict(refused)
    tried: list[tuple[Device, str]] = []
    for setup in setups:
        way = WAYS[setup.library.name]
        found, problem = trial.listed(setup.library)
        find = _finder([*(device for device, _ in tried), *found])
        if way == WAYS[VULKAN] and not problem and not all(map(find, wanted)):
            # Programs that stand for a device are listed only where all are asked for.
            visible = _all_numbers()
            with trial.visible_to_engine(visible):
                found, problem = trial.listed(setup.library)
        if not found:
            problems[way] = problem or f"no GPU has a {way} driver"
        works = [device for device, reason in tried if not (reason or wanted)]
        numbered = [
            (number, device)
            for number, device in enumerate(found)
            if not any(map(device.is_same_card, works))
        ]
        find = _finder([*(device for device, _ in tried), *found])
        if way == WAYS[VULKAN] and not all(name == NONE or find(name) for name in wanted):
            reasons = [UNTRIED] * len(numbered)
        else:
            with trial.visible_to_engine(visible):
                reasons = trial.failures(setup, numbered, asked=asked)
        tried += [(device, reason) for (_, device), reason in zip(numbered, reasons, strict=True)]
    refused = _faster(problems, tried[0][0].by) if tried else {}
    for way, why in refused.items():
        print(f"note: {way} is not used: {why}", file=sys.stderr)
    told = [f"{way}: " * (len(problems) > 1) + why for way, why in problems.items()]
    return {
        "visible": visible,
        "devices": [{**asdict(device), "failure": reason} for device, reason in tried],
        "refused": refused,
        "problem": "" if tried else "; ".join(told),
    }


def _all_numbers() -> str:
    """Return the numbers of all of Vulkan's devices, as VISIBLE has them; "" where that fails."""
    failure, output = probing.in_child(
        lambda out: out.write(backend.everything_visible().encode()), trial.LIST_SECONDS
    )
    return "" if failure else output.decode()


def _faster(problems: Mapping[str, str], way: str) -> dict[str, str]:
    """Return the problems of what is faster than one way; others' are of no interest then."""
    ways = [*WAYS.values()]
    return {name: why for name, why in problems.items() if ways.index(name) < ways.index(way)}


def _chosen(verdict: Mapping[str, Any], wanted: Sequence[str], folder: Path) -> Choice:
    """Return what to use of the devices in a verdict."""
    known = [field.name for field in fields(Device)]
    failures = {
        Device(**{name: found[name] for name in known}): found["failure"]
        for found in verdict["devices"]
    }
    several = len({device.by for device in failures}) > 1
    rejected = {
        device.title + f" by {device.by}" * several: failure
        for device, failure in failures.items()
        if failure
    }
    rejected = {**verdict["refused"], **rejected}
    works = [device for device, failure in failures.items() if not failure]
    if wanted:
        find = _finder([*works, *failures])
        if unknown := [name for name in wanted if name != NONE and not find(name)]:
            listed = ", ".join(f"{device.name} ({device.title})" for device in failures)
            raise UsageError(
                f"there is no device '{unknown[0]}'",
                hint=f"the devices: {listed or verdict['problem'] or NONE}, and {NONE}",
            )
        named = [device for name in wanted if (device := find(name))]
        chosen = [device for device in dict.fromkeys(named) if device in works]
    else:
        own_memory = [device for device in works if not device.integrated]
        chosen = own_memory or works[:1]
    ways = {device.by for device in chosen}
    libraries, problems = _unpacked(folder, [name for name, way in WAYS.items() if way in ways])
    chosen = [device for device in chosen if device.by not in problems]
    rejected.update(problems)
    problem = verdict["problem"]
    if not chosen and rejected:
        problem = "; ".join(f"{title} is left out: {why}" for title, why in rejected.items())
    return Choice(chosen, libraries, verdict["visible"], rejected, problem)


def _finder(devices: Sequence[Device]) -> Callable[[str], Device | None]:
    """Return what finds a device by its name, or by a part of its title."""

    def find(name: str) -> Device | None:
        lower = name.lower()
        exact = (device for device in devices if device.name.lower() == lower)
        return next(exact, None) or next(
            (device for device in devices if lower in device.title.lower()), None
        )

    return find
