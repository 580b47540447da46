"""Checks of the machine: what computes, where the program is unpacked, what it is kept from."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from runtime.commands.checks.finding import FAIL, OK, WARN, Finding
from runtime.container.bundle_file import Bundle
from runtime.devices import backend, presence, remote
from runtime.devices.engine import Engine
from runtime.devices.remote import Machine
from runtime.errors import AppError
from runtime.host import library_paths, resources, unpack_dir
from runtime.model import variant_files
from runtime.model.cpu_variants import Selection
from runtime.options.loading import AUTO_LAYERS
from runtime.options.registry import Options
from runtime.sandbox import proof
from runtime.units import gigabytes


def processor(options: Options) -> Finding:
    """Return which processor it is, and whether it has the cores for as many threads."""
    cores = resources.physical_cores()
    threads = options.threads or cores
    detail = f"{resources.cpu_name()}, {threads} of {cores} physical cores that may be used"
    if threads > cores:
        return Finding(
            WARN, "processor", detail, f"more threads than cores slow it down: use -t {cores}"
        )
    return Finding(OK, "processor", detail)


def variant(choice: Selection) -> Finding:
    """Return which of the CPU variants is used, and why no better one."""
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


def gpu(started: Engine, options: Options) -> Finding:
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


def machines(options: Options) -> Generator[Finding, None, list[Machine]]:
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


def unpacked() -> Finding | None:
    """Return where the program is kept unpacked; None where it is not."""
    folder = unpack_dir.frozen_folder()
    if folder is None or not unpack_dir.is_kept(folder):
        return None
    size = _size_of(folder)
    return Finding(OK, "unpacked", f"kept for the next start: {folder}, {size / 1e6:.0f} MB")


def _size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def _needed() -> int:
    """Return the bytes that a run takes of which nothing is kept.

    It is what this one has unpacked, and all CPU variants while the best is looked for.
    """
    folder = unpack_dir.frozen_folder()
    variants = variant_files.packed(library_paths.library_folder(), variant_files.PREFIX)
    return _size_of(folder) + sum(variants.values()) if folder else 0


def temporary_folder() -> Finding:
    """Return whether there is room to unpack the program for a run."""
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
    if free < (needed := _needed()):
        cure = f"{gigabytes(needed)} are needed at every start: free some, or {cure}"
        return Finding(WARN, what, detail, cure)
    return Finding(OK, what, detail)


def c_library(bundle: Bundle | None) -> Finding:
    """Return which C library there is, and which is needed."""
    name, version = platform.libc_ver()
    floor = str(bundle.manifest.stub.get("glibc", "")) if bundle else ""
    detail = f"{name or 'unknown'} {version}" + (f", {floor} needed" if floor else "")
    return Finding(OK, "C library", detail)  # with an older one, the program would not have started


def sandbox(options: Options) -> Finding:
    """Return what a loaded program is kept from, as tried out. Forks."""
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
