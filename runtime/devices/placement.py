"""Placement of a model's layers on devices, by the memory that is free there: llama.cpp's own."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime.devices import backend
from runtime.devices.backend import RPC
from runtime.devices.engine import Engine
from runtime.errors import UsageError
from runtime.inference.kv_cache.context import context_parameters
from runtime.model import libchat
from runtime.model.llama_api import ALL_LAYERS, ModelStream, api
from runtime.model.offload import NONE, Offload, Override
from runtime.options.loading import AUTO_LAYERS
from runtime.options.registry import Options
from runtime.units import gigabytes

MARGIN, SHARE = 1 << 30, 8
"""Bytes that are left free on a device, and which part of its memory if that is less: other
programs draw there, and drivers have buffers of their own."""


@dataclass(frozen=True)
class Need:
    """The memory that a model takes somewhere, in bytes."""

    free: int
    total: int
    weights: int
    context: int
    compute: int

    @property
    def used(self) -> int:
        """Return all of it."""
        return self.weights + self.context + self.compute


def spare_memory(engine: Engine) -> int:
    """Return the bytes that a model may take on all devices together."""
    return sum(max(0, memory[0] - _margin(memory[1])) for memory in _memories(engine))


def free_memory(engine: Engine) -> int:
    """Return the bytes that are free on all devices together, as their drivers tell it."""
    return sum(free for free, _ in _memories(engine))


def line(engine: Engine, layers: int, all_layers: int, used: int) -> str:
    """Return which devices a model is on, and for how much, in words."""
    ways = engine.ways
    kind = "GPU" if RPC not in ways else "machines" if len(ways) == 1 else "devices"
    names = ", ".join(f"{device.title} by {device.by}" for device, _ in engine.devices)
    total = sum(total for _, total in _memories(engine))
    memory = f"{gigabytes(used)} of {gigabytes(total)}" if used else gigabytes(total)
    return f"{kind}: {names}, {layers} of {all_layers} layers, {memory}"


def place(stream: ModelStream, engine: Engine, options: Options, context: int) -> Offload:
    """Return where the layers of the model in `stream` go, with a context of that many tokens.

    Raise UsageError if the options name a device that is not used.
    """
    wanted = _wanted(engine, options)
    if not wanted.devices or options.gpu_layers != AUTO_LAYERS:
        return wanted
    parameters = _parameters(options)
    kept = wanted.apply(parameters)
    split = (ctypes.c_float * api.llama_max_devices())(*wanted.split)
    overrides = (Override * api.llama_max_tensor_buft_overrides())()
    margins = (ctypes.c_size_t * api.llama_max_devices())(
        *(_margin(total) for _, total in _memories(engine))
    )
    settings = context_parameters(options, context, threads=1)
    fits = libchat.fit(stream.pointer, parameters, settings, split, overrides, margins)
    del kept
    if not fits:
        # With proportions of the user's there is nothing to fit: loading will tell.
        return wanted if wanted.split else NONE
    return dataclasses.replace(
        wanted,
        layers=parameters.n_gpu_layers,
        split=tuple(split)[: len(wanted.devices)] if any(split) else wanted.split,
        overrides=overrides if overrides[0].pattern else None,
    )


def fewer(offload: Offload, layers: int) -> Offload:
    """Return what to try where loading has failed; `layers` is how many the model has in all."""
    count = layers if offload.layers < 0 else min(offload.layers, layers)
    if offload.overrides is not None or count < 2:
        return NONE
    return dataclasses.replace(offload, layers=count // 2)


def needs(
    stream: ModelStream, offload: Offload, options: Options, context: int
) -> tuple[int, Sequence[Need]]:
    """Return how many layers the model has, and what it takes on each device and, last, beside.

    Nothing is returned where the engine cannot tell.
    """
    parameters = _parameters(options)
    kept = offload.apply(parameters)
    settings = context_parameters(options, context, threads=1)
    layers, rows = libchat.memory(stream.pointer, parameters, settings, len(offload.devices) + 1)
    del kept
    return layers + 1, [Need(*row) for row in rows]  # the output is one more


def _wanted(engine: Engine, options: Options) -> Offload:
    """Return what the options ask for, of the devices that there are."""
    pointers = tuple(pointer for _, pointer in engine.devices)
    layers = options.gpu_layers
    if not pointers or not layers:
        return NONE
    names = ",".join(device.name for device, _ in engine.devices)
    whole = options.main_gpu if options.split_mode == "none" else None
    if whole is not None and whole >= len(pointers):
        raise UsageError(
            f"--main-gpu is {whole}, but {len(pointers)} GPUs are used, counted from 0",
            hint=f"name them in order: --device {names}",
        )
    split = _proportions(options.tensor_split)
    if len(split) > len(pointers):
        raise UsageError(
            f"--tensor-split has {len(split)} parts, but {len(pointers)} GPUs are used",
            hint=f"name them in order: --device {names}",
        )
    return Offload(pointers, ALL_LAYERS if layers < 0 else layers, split, whole)


def _proportions(text: str) -> tuple[float, ...]:
    try:
        parts = tuple(float(part) for part in text.replace("/", ",").split(",") if part.strip())
    except ValueError:
        parts = (-1.0,)
    if any(not 0 <= part < float("inf") for part in parts) or (parts and not any(parts)):
        raise UsageError(
            f"'--tensor-split' is {text!r}, expected numbers with commas", hint="such as 3,1"
        )
    return parts


def _parameters(options: Options) -> Any:
    parameters = api.llama_model_default_params()
    parameters.use_extra_bufts = options.repack
    return parameters


def _memories(engine: Engine) -> list[tuple[int, int]]:
    return [backend.memory(pointer) for _, pointer in engine.devices]


def _margin(total: int) -> int:
    return min(MARGIN, total // SHARE)
