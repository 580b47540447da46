"""Backends for GPUs: their libraries' files, and the devices that the engine finds with them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.container.archive import COMPRESSED
from runtime.errors import ModelError
from runtime.model import llama_api, variant_files
from runtime.sanitize import plain

RPC = "RPC"
"""How ggml calls what is between machines."""
CUDA, VULKAN = "libggml-cuda.so", "libggml-vulkan.so"
WAYS = {CUDA: "CUDA", VULKAN: "Vulkan"}
"""The backends' libraries, the faster first, and how ggml calls what they reach GPUs by."""
BESIDE = {CUDA: ("libcublasLt.so.13", "libcublas.so.13", "libcudart.so.13")}
"""Their makers' libraries that they need, the largest first."""
PROCESSOR, INTEGRATED = 0, 2
"""GGML_BACKEND_DEVICE_TYPE_CPU and _IGPU of ggml-backend.h."""


class Properties(ctypes.Structure):
    """Structure `ggml_backend_dev_props` of ggml-backend.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", ctypes.c_bool * 5),
    )


FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ggml_backend_load": (ctypes.c_void_p, (ctypes.c_char_p,)),
    "ggml_backend_dev_by_type": (ctypes.c_void_p, (ctypes.c_int,)),
    "ggml_backend_reg_dev_count": (ctypes.c_size_t, (ctypes.c_void_p,)),
    "ggml_backend_reg_dev_get": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_size_t)),
    "ggml_backend_dev_name": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "ggml_backend_dev_description": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "ggml_backend_dev_backend_reg": (ctypes.c_void_p, (ctypes.c_void_p,)),
    "ggml_backend_reg_name": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "ggml_backend_dev_get_props": (None, (ctypes.c_void_p, ctypes.POINTER(Properties))),
    "ggml_backend_dev_memory": (
        None,
        (ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)),
    ),
}
"""Result and arguments of the functions of ggml-backend.h that are used here."""


@dataclass(frozen=True)
class Device:
    """A device of the engine."""

    name: str
    """As llama.cpp calls it: CUDA0, Vulkan0."""
    title: str
    """As its maker calls it."""
    integrated: bool
    """Whether its memory is the processor's."""
    by: str = "Vulkan"
    """Through what the engine reaches it."""
    card: str = ""
    """Its place on the bus; empty where that is not known."""

    def is_same_card(self, other: Device) -> bool:
        """Tell whether both are ways to one card."""
        if self.card and other.card:
            return self.card == other.card
        return self.title == other.title


def known(folder: Path) -> list[str]:
    """Return which of WAYS the folder of the engine's libraries has, there or still packed."""
    packed = variant_files.packed(folder, "libggml-")
    return [name for name in WAYS if (folder / name).exists() or f"{name}{COMPRESSED}" in packed]


def library(folder: Path, name: str) -> Path:
    """Return the library of a backend that is known, unpacked now if need be.

    Raise AppError where it cannot be unpacked.
    """
    needs = [folder / other for other in BESIDE.get(name, ())]
    return variant_files.decompressed(folder / name, *needs)


def load(path: Path) -> list[int]:
    """Register the backend with the engine; return its devices, `ggml_backend_dev_t` pointers.

    Raise ModelError where that fails, as it does without the system's Vulkan loader or driver.
    """
    with llama_api.native_call() as call:
        backend = function("ggml_backend_load")(os.fsencode(path))
    if not backend:
        raise ModelError(f"the backend for GPUs cannot be loaded: {call.reason or 'refused'}")
    return devices_of(backend)


def devices_of(registry: int) -> list[int]:
    """Return the devices of a backend, `ggml_backend_dev_t` pointers, given its registry."""
    count = function("ggml_backend_reg_dev_count")(registry)
    return [function("ggml_backend_reg_dev_get")(registry, number) for number in range(count)]


def processor() -> int:
    """Return the `ggml_backend_dev_t` of the processor."""
    return int(function("ggml_backend_dev_by_type")(PROCESSOR))


def described(pointer: int) -> Device:
    """Return what the engine says about a device."""
    name, title = (
        plain(function(f"ggml_backend_dev_{what}")(pointer).decode("utf-8", "replace"))
        for what in ("name", "description")
    )
    found = Properties()
    function("ggml_backend_dev_get_props")(pointer, ctypes.byref(found))
    registry = function("ggml_backend_dev_backend_reg")(pointer)
    way = function("ggml_backend_reg_name")(registry).decode()
    card = (found.device_id or b"").decode("utf-8", "replace")
    return Device(name, title, found.type == INTEGRATED, way, card)


def memory(pointer: int) -> tuple[int, int]:
    """Return the bytes that are free on a device now, and all that it has."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    function("ggml_backend_dev_memory")(pointer, ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


def function(name: str) -> Any:
    """Return one of FUNCTIONS."""
    found = getattr(llama_api.api._lib, name)
    found.restype, found.argtypes = FUNCTIONS[name]
    return found


def everything_visible() -> str:
    """Return the numbers of all of Vulkan's devices, as GGML_VK_VISIBLE_DEVICES has them.

    The engine leaves out those that are programs unless they are named so. Raise OSError without
    the system's Vulkan loader. In a child process only: a driver may crash.
    """
    return ",".join(map(str, range(sum(1 for _ in _vulkan_devices()))))


def _vulkan_devices() -> Iterator[int]:
    """Yield Vulkan's devices, `VkPhysicalDevice` pointers."""
    vulkan = ctypes.CDLL("libvulkan.so.1")
    # VkInstanceCreateInfo of vulkan_core.h, with nothing asked for.
    wanted = (ctypes.c_uint64 * 8)(1)
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    if vulkan.vkCreateInstance(wanted, None, ctypes.byref(instance)):
        return
    if vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None):
        return
    found = (ctypes.c_void_p * count.value)()
    if vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), found) >= 0:
        yield from filter(None, found)
