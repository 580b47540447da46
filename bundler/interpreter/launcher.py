"""PyInstaller's launcher, compiled for a target with zlib inside.

The one in its wheel needs the system's libz.so.1, which a minimal system lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundler.interpreter import libraries
from bundler.interpreter.compiler import CC, STRIPPED, Compiler
from bundler.targets import Target

FOLDERS = {"x86_64": "Linux-64bit-intel", "aarch64": "Linux-64bit-arm"}
"""PyInstaller's names for the folders of its launchers."""
# As PyInstaller's own build has them for Linux.
FLAGS = (
    "-O2", "-fno-sanitize=undefined", "-fPIE", "-pie", "-D_REENTRANT", "-D_DEFAULT_SOURCE",
    "-DNDEBUG", "-DPYI_USE_POSIX_SEMAPHORE", "-DHAVE_UNSETENV", "-DHAVE_MKDTEMP",
    "-DHAVE_DIRNAME", "-DHAVE_BASENAME", "-DHAVE_WCSDUP",
)  # fmt: skip
LIBRARIES = ("-ldl", "-lpthread", "-lm", "-Wl,--as-needed")


def path_in(packages: Path, target: Target) -> Path:
    """Return where PyInstaller, installed in `packages`, has the launcher for `target`."""
    return packages / "PyInstaller" / "bootloader" / FOLDERS[target.machine] / "run"


def compile_launcher(
    compiler: Compiler, tree: Path, out: Path, scratch: Path, say: Callable[[str], None]
) -> None:
    """Compile the launcher from PyInstaller's sources in `tree` to the file `out`."""
    zlib = libraries.zlib(compiler, scratch, say)
    sources = sorted(path.name for path in (tree / "bootloader" / "src").glob("*.c"))
    includes = [f"-I{zlib}/include", "-I."]
    command: list[str | Path] = [
        CC,
        *FLAGS,
        STRIPPED,
        *includes,
        "-o",
        out,
        *sources,
        f"{zlib}/lib/libz.a",
    ]
    compiler.run([*command, *LIBRARIES], tree / "bootloader" / "src")
