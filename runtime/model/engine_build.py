"""Build of the engine: its identity, its start, and the keys that saved states depend on."""

from __future__ import annotations

import json
from pathlib import Path

from runtime import __version__
from runtime.container import prefix_state
from runtime.errors import ModelError
from runtime.gguf.header import Header
from runtime.host import library_paths
from runtime.host.unpack_dir import frozen_folder
from runtime.model import cpu_variants, llama_api
from runtime.options.registry import Options


def start_engine(options: Options) -> cpu_variants.Selection:
    """Select and load the CPU variant, and initialise the engine; return the selection."""
    # Before any thread is started, since selecting a variant forks.
    choice = cpu_variants.choose(
        library_paths.library_folder(), probe_folder(), force=options.cpu, build=build_identity()
    )
    llama_api.log.verbose = options.verbose
    llama_api.load_variant(choice.path)
    llama_api.start()
    return choice


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


def state_form() -> str:
    """Return the format of KV-cache states: ggml types of keys and values, flash attention."""
    settings = llama_api.api.llama_context_default_params()
    return f"keys {settings.type_k}, values {settings.type_v}, flash {settings.flash_attn_type}"


def engine_key(header: Header, context: int) -> dict[str, str]:
    """Return the properties of engine and context that a saved state depends on.

    The CPU variant is not among them: states are portable between variants.
    """
    return {
        "engine": build_identity() or __version__,
        "cache": state_form(),
        "positions": prefix_state.positions(header, context),
    }
