"""Offload: which of a model's layers the engine keeps on which devices."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

WHOLE, BY_LAYER = 0, 1
"""LLAMA_SPLIT_MODE_NONE and LLAMA_SPLIT_MODE_LAYER of llama.h."""


class Override(ctypes.Structure):
    """`llama_model_tensor_buft_override` of llama.h: where tensors go that a pattern fits."""

    _fields_ = (("pattern", ctypes.c_char_p), ("kind", ctypes.c_void_p))


@dataclass(frozen=True)
class Offload:
    """Devices, and how a model's layers are spread over them and the processor."""

    devices: tuple[int, ...] = ()
    """The engine's pointers to them (`ggml_backend_dev_t`); none for the processor alone."""
    layers: int = 0
    """How many layers go to devices, the output counted as one; negative for all."""
    split: tuple[float, ...] = ()
    """How much each device gets, as proportions; empty for as memory is free."""
    whole: int | None = None
    """Place of the only device that gets layers; None if all do."""
    overrides: Any = None
    """Tensors that go elsewhere, an array of Override whose last one is empty, or None."""

    def apply(self, parameters: Any) -> tuple[Any, ...]:
        """Set it in `llama_model_params`; return what must be kept until the model is loaded."""
        if not self.layers or not self.devices:
            nothing = (ctypes.c_void_p * 1)(None)
            parameters.n_gpu_layers = 0
            # Else the engine lends a device it knows the processor's layers, for large batches.
            parameters.devices = ctypes.addressof(nothing)
            return (nothing,)
        devices = (ctypes.c_void_p * (len(self.devices) + 1))(*self.devices, None)
        # The engine reads as many proportions as it can have devices, see llama_max_devices.
        split = (ctypes.c_float * max(len(self.split), 64))(*self.split)
        parameters.devices = ctypes.addressof(devices)
        parameters.n_gpu_layers = self.layers
        parameters.split_mode = BY_LAYER if self.whole is None else WHOLE
        parameters.main_gpu = self.whole or 0
        if self.split:
            parameters.tensor_split = ctypes.cast(split, ctypes.POINTER(ctypes.c_float))
        if self.overrides is not None:
            parameters.tensor_buft_overrides = ctypes.addressof(self.overrides)
        return devices, split, self.overrides


NONE = Offload()
"""Everything is the processor's."""
