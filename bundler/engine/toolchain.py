"""Compiler toolchain (zig, clang or gcc), and the cache of what it compiled.

zig's clang from the package index by default. gcc up to 12 miscompiles the engine's AMX variant
(ggml-org/llama.cpp#26954), and zig targets an old glibc and links its C++ library statically, so
that the result also runs on systems older than this one.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.targets import Target
from runtime.host import app_dirs

ZIG = "ziglang==0.17.0"
LIBOMP = "cmeel-libomp==21.1.8"  # LLVM's OpenMP, faster than ggml's own threads
AMX_SAFE_GCC = 13


class BuildFailed(Exception):
    """Something could not be compiled; the message says why and what to do."""


@dataclass(frozen=True)
class Toolchain:
    """A C and C++ compiler, for one target."""

    target: Target
    name: str
    version: str
    cc: str
    cxx: str
    arguments: tuple[str, ...] = ()
    """What CMake must be told besides the two."""
    libomp: Path | None = None
    """LLVM's OpenMP runtime, to be shipped beside the libraries."""
    dropped: tuple[str, ...] = ()
    """CPU variants that this compiler gets wrong."""

    @property
    def words(self) -> tuple[str, ...]:
        """Return what the key of a compiled thing has of the compiler and the target."""
        return self.name, self.version, self.target.machine, self.target.glibc


def find(compiler: str, target: Target, scratch: Path, say: Callable[[str], None]) -> Toolchain:
    """Return `compiler` for `target`, or for `auto` the first that there is.

    What it needs is put into the folder `scratch`, which must outlive it.
    """
    makers = {"zig": _zig, "clang": _clang, "gcc": _gcc}
    if compiler != "auto":
        return makers[compiler](target, scratch)
    problems = []
    for name in ("zig", "clang", "gcc"):
        try:
            return makers[name](target, scratch)
        except BuildFailed as exc:
            problems.append(f"{name}: {exc}")
            say(f"engine: not using {name}: {exc}")
    raise BuildFailed(
        "no usable C++ compiler. Install one (Debian: apt-get install clang libomp-dev).\n  "
        + "\n  ".join(problems)
    )


def key_of(*words: str) -> str:
    """Return a short hash of what a compiled thing depends on."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def kept(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return `folder`; where it is missing, let `make` fill it under another name first."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as name:
            staged = Path(name, folder.name)
            staged.mkdir()
            make(staged)
            with contextlib.suppress(OSError):  # somebody else has finished first
                staged.rename(folder)
    return folder


def compiled(
    name: str, words: Sequence[str], files: Sequence[Path], command: Sequence[str]
) -> Path:
    """Return what the compiler's `command` makes of C files, headers among them; unless kept.

    `words` are what it depends on besides; the result is called after `name`.
    """
    content = b"".join(file.read_bytes() for file in files)
    key = hashlib.sha256("\0".join(words).encode() + content).hexdigest()[:16]
    target = app_dirs.cache() / "own" / f"{key}-{name}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_suffix(f".{os.getpid()}")
        sources = [str(file) for file in files if file.suffix == ".c"]
        done = subprocess.run(
            [*command, "-o", str(made), *sources], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BuildFailed(f"{', '.join(sources)} could not be compiled:\n{done.stderr.strip()}")
        made.rename(target)
    return target


def packages(requirements: Sequence[str], platforms: Sequence[str] = ()) -> Path:
    """Return a cached folder with `requirements` installed, apart from any environment.

    Where it is not for this machine, `platforms` are the tags of wheels that suit.
    """
    suiting = [f"--platform={tag}" for tag in platforms]
    if suiting:
        suiting += ["--only-binary=:all:", "--no-deps"]

    def install(folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--target", str(folder), *suiting, *requirements],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            tail = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
            raise BuildFailed(f"pip cannot install {' '.join(requirements)} ({tail[0]})")

    words = [*requirements, *suiting, sys.version]
    key = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
    return kept(app_dirs.cache() / "toolchains" / key, install)


ARM_FLAGS = """\
for argument do
    shift
    case $argument in -march=armv*)
        named=${argument#-march=armv} level=${named%%-a*} features=${named#*-a} cpu=generic
        [ "$level" = 8 ] || cpu=generic+v${level%.*}_${level#*.}a
        case $features in *+fp16*) features="${features%%+fp16*}+fullfp16${features#*+fp16}" ;; esac
        argument=-mcpu=$cpu$features
    esac
    set -- "$@" "$argument"
done
"""
"""What GCC and clang call -march=armv8.2-a+fp16 is -mcpu=generic+v8_2a+fullfp16 for zig."""


def _zig(target: Target, scratch: Path) -> Toolchain:
    installed = packages([ZIG, LIBOMP])
    zig = installed / "ziglang" / "zig"
    if not target.is_here:
        installed = packages([LIBOMP], target.wheel_platforms)
    openmp = installed / "cmeel.prefix"
    # `python -m ziglang` fails inside pip's isolated build, hence wrappers around the program.
    flags = f"-target {target.triple} -I'{openmp}/include' -L'{openmp}/lib'"
    translated = ARM_FLAGS if target.machine == "aarch64" else ""
    cc = _script(scratch / "cc", f"{translated}exec '{zig}' cc {flags} \"$@\"")
    cxx = _script(scratch / "c++", f"{translated}exec '{zig}' c++ {flags} \"$@\"")
    arguments = [] if target.is_here else _foreign_arguments(target)
    for tool in ("ar", "ranlib"):
        path = _script(scratch / tool, f"exec '{zig}' {tool} \"$@\"")
        for part in ("", "C_COMPILER_", "CXX_COMPILER_"):
            arguments.append(f"-DCMAKE_{part}{tool.upper()}={path}")
    return Toolchain(
        target,
        "zig",
        ZIG.partition("==")[2],
        cc,
        cxx,
        (*arguments, *_openmp_arguments()),
        libomp=openmp / "lib" / "libomp.so",
    )


def _foreign_arguments(target: Target) -> list[str]:
    """Tell CMake what it cannot find out by running what it compiles."""
    return [
        f"-DCMAKE_SYSTEM_NAME={target.system.capitalize()}",
        f"-DCMAKE_SYSTEM_PROCESSOR={target.machine}",
        # This machine's `strip` need not know the other's files.
        "-DCMAKE_SHARED_LINKER_FLAGS=-s",
        "-DCMAKE_MODULE_LINKER_FLAGS=-s",
    ]


def _require_here(target: Target, compiler: str) -> None:
    if not target.is_here:
        raise BuildFailed(f"{compiler} compiles for this machine alone, zig for {target.name} too")


def _clang(target: Target, scratch: Path) -> Toolchain:
    _require_here(target, "clang")
    names = ["clang", *(f"clang-{n}" for n in range(22, 14, -1))]
    clang = next((path for name in names if (path := shutil.which(name))), None)
    if clang is None:
        raise BuildFailed("no clang on this machine")
    openmp = packages([LIBOMP]) / "cmeel.prefix"
    flags = f"-I'{openmp}/include' -L'{openmp}/lib'"
    return Toolchain(
        target,
        "clang",
        _version([clang, "--version"]),
        _script(scratch / "cc", f"exec '{clang}' {flags} \"$@\""),
        _script(scratch / "c++", f"exec '{clang}' --driver-mode=g++ {flags} \"$@\""),
        tuple(_openmp_arguments()),
        libomp=openmp / "lib" / "libomp.so",
    )


def _gcc(target: Target, _: Path) -> Toolchain:
    _require_here(target, "gcc")
    if not shutil.which("gcc") or not shutil.which("g++"):
        raise BuildFailed("no gcc and g++ on this machine")
    version = _version(["gcc", "-dumpfullversion"])
    old = int(version.split(".")[0]) < AMX_SAFE_GCC
    dropped = ("sapphirerapids",) if old else ()
    return Toolchain(target, "gcc", version, "gcc", "g++", dropped=dropped)


def _openmp_arguments() -> list[str]:
    """Name LLVM's OpenMP without its path, which would be baked into every library."""
    arguments = ["-DOpenMP_omp_LIBRARY=omp"]
    for language in ("C", "CXX"):
        arguments.append(f"-DOpenMP_{language}_FLAGS=-fopenmp=libomp")
        arguments.append(f"-DOpenMP_{language}_LIB_NAMES=omp")
    return arguments


def _script(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def _version(command: Sequence[str]) -> str:
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return match[0] if match else text.strip()
