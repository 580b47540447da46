"""A backend for GPUs that fails when and how a test wants it; see planted_gpu.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bundler.engine import toolchain
from bundler.engine.llama_source import source
from runtime.devices.backend import VULKAN, WAYS
from runtime.host import library_paths

SOURCE = Path(__file__).with_suffix(".c")


def compile_into(folder: Path, name: str = VULKAN, card: str = "") -> Path:
    """Return the library of a backend's `name`, made in `folder`; `card` is its device's place."""
    tree, libraries = source(), library_paths.library_folder()
    zig = toolchain.packages([toolchain.ZIG, toolchain.LIBOMP]) / "ziglang" / "zig"
    command = [str(zig), "cc", "-shared", "-fPIC", "-O1", "-w", "-fno-sanitize=undefined"]
    command += [f"-I{tree / inner}" for inner in ("ggml/src", "ggml/include")]
    command += [f'-DWAY="{WAYS[name]}"', f'-DCARD="{card}"', "-o", str(folder / name), str(SOURCE)]
    command += ["-Wl,-rpath,$ORIGIN"]
    command += [f"-L{libraries}", "-lggml", "-lggml-base"]
    subprocess.run(command, check=True)
    return folder / name
