"""Compilation of files of llama.cpp's and ours into a shared library, beside the engine's.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bundler.engine.toolchain import BuildFailed, Toolchain

Insertions = Mapping[str, Sequence[tuple[str, str]]]
"""By the name of a file: lines of it, each with what is put behind it."""
LIBRARIES = ("libllama.so", "libggml-base.so", "libggml.so")


def objects(
    toolchain: Toolchain,
    units: Sequence[Path],
    flags_of: Callable[[Path], Sequence[str]],
    insertions: Insertions,
    scratch: Path,
) -> list[Path]:
    """Return the object files of C and C++ files, made in the folder `scratch` on all cores."""

    def compile_one(numbered: tuple[int, Path]) -> Path:
        number, unit = numbered
        made, flags = scratch / f"{number}.o", flags_of(unit)
        if unit.name in insertions:
            unit = with_insertions(unit, insertions[unit.name], scratch)
        compiler = toolchain.cc if unit.suffix == ".c" else toolchain.cxx
        run([compiler, *flags, "-c", "-o", str(made), str(unit)], unit.name)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, enumerate(units)))


def link(
    toolchain: Toolchain, flags: Sequence[str], made: Sequence[Path], wheel: Path, target: Path
) -> None:
    """Link the object files `made` into the library `target`.

    The libraries in the engine's `wheel` that it needs are unpacked beside those files.
    """
    libraries = unpack_libraries(wheel, made[0].parent)
    command = [toolchain.cxx, *flags, "-o", str(target), *map(str, made)]
    run([*command, f"-L{libraries}", "-lllama", "-lggml", "-lggml-base"], target.name)


def with_insertions(unit: Path, insertions: Sequence[tuple[str, str]], folder: Path) -> Path:
    """Return a copy of a source file, in `folder`, with something put behind some of its lines."""
    text = unit.read_text(encoding="utf-8")
    for line, more in insertions:
        if text.count(line) != 1:
            raise BuildFailed(f"{unit.name} is not what it was: '{line.strip()}' is missing")
        text = text.replace(line, line + more)
    (folder / unit.name).write_text(text, encoding="utf-8")
    return folder / unit.name


def unpack_libraries(wheel: Path, scratch: Path) -> Path:
    """Return a folder with the engine's libraries that ours are linked with."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if Path(name).name in LIBRARIES:
                (scratch / Path(name).name).write_bytes(archive.read(name))
    return scratch


def run(command: Sequence[str], what: str) -> None:
    """Run a compiler; raise BuildFailed with what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"{what} could not be compiled:\n{done.stderr.strip()[-2000:]}")
