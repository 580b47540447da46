"""Trials of devices in child processes: what there is, whether it computes rightly, and how fast.

A driver may hang, crash, or compute wrongly. So devices are listed in a child process, and each
evaluates the probe model in another one, as CPU variants do. One that is slower than the processor
is left out as well, unless it was asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from runtime.devices import backend
from runtime.devices.backend import Device
from runtime.errors import AppError
from runtime.model import probing

VISIBLE = "GGML_VK_VISIBLE_DEVICES"
"""The environment variable that tells the engine which of Vulkan's devices to take."""
TOLERANCE = 0.15
"""Largest absolute difference of two logits, which are of order 1.

Devices add up in half precision, as ARM's CPU variants do; a program for Vulkan is off by 0.03.
"""
LIST_SECONDS = 60
PROBE_SECONDS = 240
"""A driver compiles all that it is to compute for the first time: 76 seconds where it is a program,
on two busy cores."""
SPEED_SECONDS = 60
"""For a measurement, which takes one or two where a driver need not compile first."""
OTHERS_SECONDS = LIST_SECONDS + PROBE_SECONDS + SPEED_SECONDS
"""For another program that tries the devices just now; then both do."""
PATIENCE = 3
"""Seconds after which the user is told what it is that takes so long."""
SECONDS = struct.Struct("<d")
"""What a measurement gives."""


@dataclass(frozen=True)
class Setup:
    """What the devices are tried with."""

    library: Path
    """The backend's."""
    variant: Path
    """The CPU variant in use."""
    probe: Path
    """The folder of the probe model and its logits."""
    threads: int
    """Of the processor, where devices are compared with it."""


def failures(setup: Setup, found: Sequence[tuple[int, Device]], *, asked: bool) -> list[str]:
    """Return for each device why it is not to be used, "" where it is.

    Those that were `asked` for may be slower than the processor. Each has its number among all that
    the engine finds by this backend.
    """
    reasons = []
    processor = 0.0
    for number, device in found:
        begin = time.monotonic()
        reason = _proved(setup, number, device)
        if not (reason or asked):
            processor = processor or _speed(setup, None)[1]
            reason = _slower(device, *_speed(setup, number), processor)
        if reason:
            seconds = time.monotonic() - begin
            print(f"note: {device.title} is left out: {reason} ({seconds:.0f} s)", file=sys.stderr)
        reasons.append(reason)
    return reasons


def listed(library: Path) -> tuple[list[Device], str]:
    """Return the devices that the engine finds, and why it finds none."""
    failure, output = probing.in_child(lambda out: _write_devices(library, out), LIST_SECONDS)
    if failure:
        return [], f"looking for devices failed: {failure}"
    found = json.loads(output)
    return [Device(**device) for device in found["devices"]], found["problem"]


def _write_devices(library: Path, out: BinaryIO) -> None:
    try:
        devices = [asdict(backend.described(pointer)) for pointer in backend.load(library)]
        answer = {"devices": devices, "problem": ""}
    except AppError as exc:
        answer = {"devices": [], "problem": exc.problem}
    out.write(json.dumps(answer).encode())


@contextlib.contextmanager
def visible_to_engine(numbers: str) -> Iterator[None]:
    """Have the engine see these of Vulkan's devices meanwhile; where empty, what it would."""
    before = os.environ.get(VISIBLE)
    if numbers:
        os.environ[VISIBLE] = numbers
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before


def _proved(setup: Setup, number: int, device: Device) -> str:
    """Evaluate the probe model on a device in a child; return how it failed, "" if not."""
    reference = setup.probe / probing.LOGITS
    if not reference.exists():
        return ""
    failure, output = probing.in_child(
        lambda out: out.write(_logits(setup, number)), PROBE_SECONDS, _notice(device)
    )
    return failure or probing.compare(reference.read_bytes(), output, TOLERANCE)


def _speed(setup: Setup, number: int | None) -> tuple[str, float]:
    """Return how measuring a device failed, "" if it did not, and the seconds for an answer.

    No number stands for the processor.
    """
    failure, output = probing.in_child(
        lambda out: out.write(SECONDS.pack(_seconds(setup, number))), SPEED_SECONDS
    )
    return failure, SECONDS.unpack(output)[0] if len(output) == SECONDS.size else 0.0


def _slower(device: Device, failure: str, seconds: float, processor: float) -> str:
    """Return why a device that was measured is not worth while, "" if it is."""
    if failure or seconds < 0:
        return failure or "it cannot multiply matrices as large as a model's"
    if not 0 < processor < seconds:
        return ""
    return (
        f"here it takes {seconds / processor:.1f} times as long as the processor; "
        f"--device {device.name} uses it nevertheless"
    )


def notice_of_another() -> Callable[[float], None]:
    """Return what tells the user, once, that another program is waited for."""
    return _once(
        "another program is trying the GPU for the first time; waiting for what it finds, "
        f"{OTHERS_SECONDS} seconds at most"
    )


def _notice(device: Device) -> Callable[[float], None]:
    """Return what tells the user, once, that a device is being tried."""
    return _once(
        f"trying {device.title} for the first time; its driver compiles what it is to compute, "
        f"which takes {PROBE_SECONDS} seconds at most"
    )


def _once(text: str) -> Callable[[float], None]:
    """Return what tells the user that, once, when it has taken long."""
    told = False

    def tell(seconds: float) -> None:
        nonlocal told
        if seconds > PATIENCE and not told:
            told = True
            print(f"note: {text}", file=sys.stderr)

    return tell


def _logits(setup: Setup, number: int) -> bytes:
    """Return the logits of the probe model on one device."""
    from runtime.model import llama_api

    llama_api.load_variant(setup.variant)
    only = (ctypes.c_void_p * 2)(backend.load(setup.library)[number], None)
    llama_api.start()

    def prepare(parameters: Any) -> None:
        parameters.devices = ctypes.addressof(only)
        parameters.n_gpu_layers = llama_api.ALL_LAYERS

    return probing.logits(setup.probe / probing.MODEL, prepare)


def _seconds(setup: Setup, number: int | None) -> float:
    """Return what a device takes for the products of a usual answer."""
    from runtime.model import libchat, llama_api

    llama_api.load_variant(setup.variant)
    if number is None:
        return libchat.speed(backend.processor(), setup.threads)
    return libchat.speed(backend.load(setup.library)[number], setup.threads)
