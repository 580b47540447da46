"""Build of the engine: its identity, its start, and the keys that saved states depend on."""

from __future__ import annotations

import json
from pathlib import Path

from runtime import __version__
from runtime.container import prefix_state
from runtime.errors import ModelError
from runtime.gguf.header import Header
from runtime.gguf.tensor_types import NUMBERS
from runtime.host import library_paths
from runtime.host.unpack_dir import frozen_folder
from runtime.model import cpu_variants, llama_api
from runtime.options.registry import Options

FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
"""`enum llama_flash_attn_type` of llama.h."""


def start_engine(options: Options) -> cpu_variants.Selection:
    """Select and load the CPU variant, and initialise the engine; return the selection.

    The engine then knows the processor alone: see runtime.devices for others.
    """
    choice = choose_variant(options)
    load_variant(choice, options)
    llama_api.start()
    return choice


def choose_variant(options: Options) -> cpu_variants.Selection:
    """Select the CPU variant; forks, so this must come before any thread is started."""
    return cpu_variants.choose(
        library_paths.library_folder(), probe_folder(), force=options.cpu, build=build_identity()
    )


def load_variant(choice: cpu_variants.Selection, options: Options) -> None:
    """Load the CPU variant into this process; llama_api.start comes after all backends."""
    llama_api.log.verbose = options.verbose
    llama_api.load_variant(choice.path)


def probe_folder() -> Path:
    """Return the folder of the probe model, which exists in a frozen program only."""
    return (frozen_folder() or Path("/nonexistent")) / "probe"


def build_identity() -> str:
    """Return the ID of this build of the engine; empty if the program is not frozen."""
    folder = frozen_folder()
    if folder is None:
        return ""
    try:
        return str(json.loads((folder / "probe" / "build.json").read_text())["id"])
    except (OSError, ValueError, KeyError):
        raise ModelError(
            "the unpacked program is incomplete", hint="start it again; clean the temp folder"
        ) from None


def state_form(options: Options) -> str:
    """Return the format of KV-cache states: ggml types of keys and values, flash attention."""
    keys, values = NUMBERS[options.cache_type_k], NUMBERS[options.cache_type_v]
    return f"keys {keys}, values {values}, flash {FLASH_ATTENTION[options.flash_attn]}"


def engine_key(header: Header, context: int, options: Options) -> dict[str, str]:
    """Return the properties of engine and context that a saved state depends on.

    The CPU variant is not among them: states are portable between variants.
    """
    return {
        "engine": build_identity() or __version__,
        "cache": state_form(options),
        "positions": prefix_state.positions(header, context),
    }
