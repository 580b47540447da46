"""NVIDIA's driver: whether the backend for its GPUs, which is large, is worth unpacking."""

from __future__ import annotations

import ctypes
from typing import BinaryIO

from runtime.model import probing

DRIVER = "libcuda.so.1"
NEEDED = 13000
"""The CUDA that the backend is made with, as cuDriverGetVersion has it: 1000 * 13 + 10 * 0."""
OLDEST = 580
"""The driver that brought it."""
NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE of cuda.h."""
SECONDS = 30


def problem() -> str:
    """Return why the driver cannot be used by CUDA, in words; "" if it can. Forks."""
    failure, output = probing.in_child(_write_problem, SECONDS)
    return f"asking NVIDIA's driver failed: {failure}" if failure else output.decode()


def _write_problem(out: BinaryIO) -> None:
    out.write(_problem().encode())


def _problem() -> str:
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"there is no {DRIVER} of NVIDIA's driver (a container must be given it)"
    version, count = ctypes.c_int(), ctypes.c_int()
    if code := driver.cuDriverGetVersion(ctypes.byref(version)):
        return f"NVIDIA's driver answers with error {code}"
    if version.value < NEEDED:
        found, needed = (f"{v // 1000}.{v % 1000 // 10}" for v in (version.value, NEEDED))
        return (
            f"NVIDIA's driver knows CUDA {found}, {needed} is needed: "
            f"install driver {OLDEST} or a newer one"
        )
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code == NO_DEVICE or not (code or count.value):
        return "NVIDIA's driver has no GPU"
    return f"NVIDIA's driver answers with error {code}" if code else ""
