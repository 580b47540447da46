"""The engine, started with the processor's best variant and the devices that work here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runtime.devices import loss, selection
from runtime.devices.backend import RPC, Device
from runtime.devices.selection import Choice
from runtime.errors import AppError
from runtime.host import library_paths, std_streams
from runtime.model import engine_build, llama_api
from runtime.model.cpu_variants import Selection
from runtime.options.registry import Options


@dataclass(frozen=True)
class Engine:
    """What the engine was started with."""

    variant: Selection
    """The CPU variant in use, and why others were rejected."""
    choice: Choice
    """The devices that were to be used, and why others are not."""
    devices: Sequence[tuple[Device, int]] = ()
    """The devices that the engine has, with its pointers to them (`ggml_backend_dev_t`)."""
    problem: str = ""
    """Why none is used, in words; empty if none were asked for, or one is."""

    @property
    def ways(self) -> Sequence[str]:
        """Return through what the devices are reached, as llama-bench lists it: RPC is last."""
        return sorted({device.by for device, _ in self.devices}, key=lambda way: (way == RPC, way))

    @property
    def own_devices(self) -> Sequence[tuple[Device, int]]:
        """Return those of this machine."""
        return [(device, pointer) for device, pointer in self.devices if device.by != RPC]

    def beside(self, machines: Sequence[tuple[Device, int]]) -> Engine:
        """Return the same with devices of other machines before its own.

        The engine gives layers to them first: what is on its way then passes each machine once.
        """
        return replace(self, devices=[*machines, *self.devices], problem="")


def start_processor(options: Options) -> tuple[Selection, Choice]:
    """Do what `start` does but for loading devices, which processes forked from this one may do."""
    variant, choice = _chosen(options)
    engine_build.load_variant(variant, options)
    llama_api.start()
    return variant, choice


def start(options: Options) -> Engine:
    """Select and load the CPU variant and the backends for GPUs; initialise the engine.

    Forks, so it must come before any thread is started.
    """
    variant, choice = _chosen(options)
    engine_build.load_variant(variant, options)
    devices: list[tuple[Device, int]] = []
    problem = choice.problem
    if choice.devices:
        std_streams.keep_stdout()  # for answers alone, whatever drivers print
        names = ", ".join(device.title for device in choice.devices)
        try:
            with loss.limited(names, options.device_timeout, "started"):
                devices = [*selection.loaded(choice)]
            gone = [one.title for one in choice.devices if one not in dict(devices)]
            problem = "" if devices else "the GPU that was there before is gone"
            if gone:
                lacking = f"{', '.join(gone)} is gone; the next start looks for GPUs again"
                print(f"note: {lacking}", file=sys.stderr)
        except AppError as exc:
            problem = exc.problem
        if len(devices) < len(choice.devices):
            choice.forget()
    llama_api.start()
    return Engine(variant, choice, devices, problem)


def _chosen(options: Options) -> tuple[Selection, Choice]:
    """Choose the CPU variant and the devices, by trials in other processes."""
    variant = engine_build.choose_variant(options)
    choice = selection.choose(
        library_paths.library_folder(),
        variant.path,
        engine_build.probe_folder(),
        options,
        build=engine_build.build_identity(),
    )
    return variant, choice
