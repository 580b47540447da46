"""Build llama-cpp-python so that one set of libraries runs on every CPU of its architecture.

    python -m bundler.engine            build (or take from the cache) and install it here
    python -m bundler.engine --wheel    only build, and print where the wheel lies

Uses nothing but the standard library, since it runs before anything is installed. The wheel on
the package index is source only, and its default build is tuned to the building machine; this
one has a CPU library for each level of features, loaded at run time.

Compiler: zig's clang from the package index by default. gcc up to 12 miscompiles the AMX
variant (ggml-org/llama.cpp#26954), and zig targets an old glibc and links its C++ library
statically, so that the result also runs on systems older than this one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "0.3.36"
GLIBC = "2.28"  # the oldest that the other wheels of the stub support (manylinux_2_28)
ZIG = "ziglang==0.17.0"
LIBOMP = "cmeel-libomp==21.1.8"  # LLVM's OpenMP, faster than ggml's own threads
WHEEL = "wheel==0.45.1"
AMX_SAFE_GCC = 13
USUAL_MINUTES = 15

FLAGS = (
    "-DGGML_NATIVE=OFF",  # the building machine's CPU must not matter
    "-DGGML_BACKEND_DL=ON",
    "-DGGML_CPU_ALL_VARIANTS=ON",
    "-DLLAVA_BUILD=OFF",  # no images yet
    # Wheels hold no symlinks: versioned names become whole copies, and dlopen of the
    # wrong copy a second registry of backends.
    "-DCMAKE_PLATFORM_NO_VERSIONED_SONAME=ON",
    "-DCMAKE_INSTALL_LIBDIR=llama_cpp/lib",
    "-DCMAKE_INSTALL_BINDIR=llama_cpp/lib",
    "-DCMAKE_INSTALL_INCLUDEDIR=llama_cpp/include",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
)
# llama-cpp-python forces this option on, but only the cached variable, not a plain one. The
# command-line programs' helpers take as long to compile as the engine, and are not shipped.
PROJECT_INCLUDE = "set(LLAMA_BUILD_COMMON OFF)\n"
STAMP = "modelembed-engine.txt"
WEIGHTS_FLAGS = ("-O3", "-fno-sanitize=undefined", "-shared", "-fPIC", "-s")


class BuildFailed(Exception):
    """The engine could not be built; the message says why and what to do."""


@dataclass(frozen=True)
class Toolchain:
    """A C/C++ compiler and how CMake is told of it."""

    name: str
    version: str
    arguments: tuple[str, ...]
    libomp: Path | None = None
    """LLVM's OpenMP runtime, to be shipped beside the libraries."""
    dropped: tuple[str, ...] = ()
    """CPU variants that this compiler gets wrong."""


def cache_folder() -> Path:
    """Return the folder for what is costly to make, outside any checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "modelembed"


def build(compiler: str = "auto", say: Callable[[str], None] = print) -> Path:
    """Return the engine's wheel, built now unless the cache has it."""
    with tempfile.TemporaryDirectory(prefix="modelembed-engine-") as scratch:
        toolchain = _toolchain(compiler, Path(scratch), say)
        folder = cache_folder() / "wheels" / _key(toolchain)
        for wheel in folder.glob("*.whl"):
            say(f"engine: using the compiled wheel from {folder}")
            return wheel
        if toolchain.dropped:
            say(
                f"engine: {toolchain.name} {toolchain.version} miscompiles AMX; leaving out "
                f"{', '.join(toolchain.dropped)} (CPUs with AMX will use the next best)"
            )
        say(
            f"engine: compiling llama-cpp-python {VERSION} for every CPU with "
            f"{toolchain.name} {toolchain.version}; usually {USUAL_MINUTES} minutes on 2 cores"
        )
        wheel = _repair(_compile(toolchain, Path(scratch), say), toolchain, Path(scratch))
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder.parent))
        shutil.copy2(wheel, staged)
        try:
            staged.rename(folder)
        except OSError:  # somebody else finished first
            shutil.rmtree(staged)
        return next(folder.glob("*.whl"))


def _key(toolchain: Toolchain) -> str:
    """Return what the compiled wheel depends on: version, flags, compiler, machine."""
    words = [VERSION, toolchain.name, toolchain.version, platform.machine(), GLIBC, LIBOMP]
    words += [*FLAGS, PROJECT_INCLUDE, *toolchain.dropped, "1"]
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    return f"llama-cpp-python-{VERSION}-{toolchain.name}-{digest}"


def _toolchain(compiler: str, scratch: Path, say: Callable[[str], None]) -> Toolchain:
    makers = {"zig": _zig, "clang": _clang, "gcc": _gcc}
    if compiler != "auto":
        return makers[compiler](scratch)
    problems = []
    for name in ("zig", "clang", "gcc"):
        try:
            return makers[name](scratch)
        except BuildFailed as exc:
            problems.append(f"{name}: {exc}")
            say(f"engine: not using {name}: {exc}")
    raise BuildFailed(
        "no usable C++ compiler. Install one (Debian: apt-get install clang libomp-dev).\n  "
        + "\n  ".join(problems)
    )


def packages(requirements: Sequence[str]) -> Path:
    """Return a cached folder with `requirements` installed, apart from any environment."""
    key = hashlib.sha256(" ".join([*requirements, sys.version]).encode()).hexdigest()[:16]
    folder = cache_folder() / "toolchains" / key
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder.parent))
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--target", str(staged), *requirements],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(staged, ignore_errors=True)
            tail = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
            raise BuildFailed(f"pip cannot install {' '.join(requirements)} ({tail[0]})")
        try:
            staged.rename(folder)
        except OSError:
            shutil.rmtree(staged, ignore_errors=True)
    return folder


def _zig(scratch: Path) -> Toolchain:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64"):
        raise BuildFailed(f"no recipe for {sys.platform} on {machine}")
    installed = packages([ZIG, LIBOMP])
    zig = installed / "ziglang" / "zig"
    openmp = installed / "cmeel.prefix"
    # `python -m ziglang` fails inside pip's isolated build, hence wrappers around the program.
    target = f"-target {machine}-linux-gnu.{GLIBC} -I'{openmp}/include' -L'{openmp}/lib'"
    _script(scratch / "cc", f"exec '{zig}' cc {target} \"$@\"")
    _script(scratch / "c++", f"exec '{zig}' c++ {target} \"$@\"")
    _script(scratch / "ar", f"exec '{zig}' ar \"$@\"")
    _script(scratch / "ranlib", f"exec '{zig}' ranlib \"$@\"")
    arguments = [f"-DCMAKE_C_COMPILER={scratch}/cc", f"-DCMAKE_CXX_COMPILER={scratch}/c++"]
    for tool in ("AR", "RANLIB"):
        path = f"{scratch}/{tool.lower()}"
        arguments += [f"-DCMAKE_{part}{tool}={path}" for part in ("", "C_COMPILER_")]
        arguments += [f"-DCMAKE_CXX_COMPILER_{tool}={path}"]
    return Toolchain(
        "zig",
        ZIG.partition("==")[2],
        (*arguments, *_openmp_arguments()),
        libomp=openmp / "lib" / "libomp.so",
    )


def _clang(scratch: Path) -> Toolchain:
    names = ["clang", *(f"clang-{n}" for n in range(22, 14, -1))]
    clang = next((path for name in names if (path := shutil.which(name))), None)
    if clang is None:
        raise BuildFailed("no clang on this machine")
    openmp = packages([LIBOMP]) / "cmeel.prefix"
    flags = f"-I'{openmp}/include' -L'{openmp}/lib'"
    _script(scratch / "cc", f"exec '{clang}' {flags} \"$@\"")
    _script(scratch / "c++", f"exec '{clang}' --driver-mode=g++ {flags} \"$@\"")
    return Toolchain(
        "clang",
        _version([clang, "--version"]),
        (
            f"-DCMAKE_C_COMPILER={scratch}/cc",
            f"-DCMAKE_CXX_COMPILER={scratch}/c++",
            *_openmp_arguments(),
        ),
        libomp=openmp / "lib" / "libomp.so",
    )


def _gcc(_: Path) -> Toolchain:
    if not shutil.which("gcc") or not shutil.which("g++"):
        raise BuildFailed("no gcc and g++ on this machine")
    version = _version(["gcc", "-dumpfullversion"])
    old = int(version.split(".")[0]) < AMX_SAFE_GCC
    return Toolchain(
        "gcc",
        version,
        ("-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++"),
        dropped=("sapphirerapids",) if old else (),
    )


def _openmp_arguments() -> list[str]:
    """Name LLVM's OpenMP without its path, which would be baked into every library."""
    arguments = ["-DOpenMP_omp_LIBRARY=omp"]
    for language in ("C", "CXX"):
        arguments.append(f"-DOpenMP_{language}_FLAGS=-fopenmp=libomp")
        arguments.append(f"-DOpenMP_{language}_LIB_NAMES=omp")
    return arguments


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _version(command: Sequence[str]) -> str:
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return match[0] if match else text.strip()


def _compile(toolchain: Toolchain, scratch: Path, say: Callable[[str], None]) -> Path:
    include = scratch / "options.cmake"
    include.write_text(PROJECT_INCLUDE)
    arguments = [*FLAGS, *toolchain.arguments, f"-DCMAKE_PROJECT_INCLUDE={include}"]
    log = cache_folder() / "engine-build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-cache-dir"]
    command += ["--no-binary", "llama-cpp-python", f"llama-cpp-python=={VERSION}"]
    command += ["--config-settings=build.targets=llama", "--config-settings=install.strip=true"]
    command += ["--wheel-dir", str(scratch / "wheel")]
    environment = {**os.environ, "CMAKE_ARGS": " ".join(arguments)}
    with (
        open(log, "w") as record,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        begin = shown = time.monotonic()
        for line in process.stdout:
            record.write(line)
            step = re.match(r"\s*\[(\d+)/(\d+)\]", line)
            if step and (time.monotonic() - shown > 15 or step[1] == step[2]):
                shown = time.monotonic()
                say(f"engine: {step[1]} of {step[2]} files, {(shown - begin) / 60:.1f} minutes")
    wheels = list((scratch / "wheel").glob("*.whl"))
    if process.returncode or not wheels:
        raise BuildFailed(f"the compilation failed; its whole output is in {log}")
    return wheels[0]


def _repair(wheel: Path, toolchain: Toolchain, scratch: Path) -> Path:
    """Put OpenMP beside the libraries, drop what only compilers need, stamp the wheel."""
    folder = scratch / "unpacked"
    environment = {**os.environ, "PYTHONPATH": str(packages([WHEEL]))}
    tool = [sys.executable, "-m", "wheel"]
    subprocess.run(
        [*tool, "unpack", "--dest", str(folder), str(wheel)],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    root = next(folder.iterdir())
    libraries = root / "llama_cpp" / "lib"
    for name in ("llama_cpp/include", "llama_cpp/lib/cmake", "llama_cpp/lib/pkgconfig"):
        shutil.rmtree(root / name, ignore_errors=True)
    for variant in toolchain.dropped:
        (libraries / f"libggml-cpu-{variant}.so").unlink(missing_ok=True)
    if toolchain.libomp:
        shutil.copy2(toolchain.libomp, libraries)
    (libraries / STAMP).write_text(
        f"llama-cpp-python {VERSION}\ncompiler {toolchain.name} {toolchain.version}\n"
        f"flags {' '.join(FLAGS)}\n"
    )
    out = scratch / "repaired"
    out.mkdir()
    subprocess.run(
        [*tool, "pack", "--dest-dir", str(out), str(root)],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    return next(out.glob("*.whl"))


def build_weights(compiler: str = "auto", say: Callable[[str], None] = print) -> Path:
    """Return the compiled loops of runtime/weights.c, made now unless the cache has them."""
    source = Path(__file__).parent.parent / "runtime" / "weights.c"
    with tempfile.TemporaryDirectory(prefix="modelembed-weights-") as scratch:
        toolchain = _toolchain(compiler, Path(scratch), say)
        words = [toolchain.name, toolchain.version, platform.machine(), GLIBC, *WEIGHTS_FLAGS]
        key = hashlib.sha256("\0".join(words).encode() + source.read_bytes()).hexdigest()[:16]
        target = cache_folder() / "weights" / f"libweights-{key}.so"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            made = target.with_suffix(f".{os.getpid()}")
            cc = next(a for a in toolchain.arguments if "C_COMPILER=" in a).partition("=")[2]
            command = [cc, *WEIGHTS_FLAGS, "-o", str(made), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BuildFailed(f"{source} could not be compiled:\n{done.stderr.strip()}")
            made.rename(target)
        return target


def install(wheel: Path, weights: Path) -> None:
    """Install `wheel` and what it needs into the running environment, and `weights` beside it."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, str(wheel)], check=True)
    # The same version built otherwise would be kept, so the wheel itself is always put in.
    subprocess.run([*command, "--no-deps", "--force-reinstall", str(wheel)], check=True)
    show = [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    site = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy2(weights, Path(site) / "llama_cpp" / "lib" / "libweights.so")


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundler.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--compiler", choices=("auto", "zig", "clang", "gcc"), default="auto")
    parser.add_argument("--wheel", action="store_true", help="build only, and print the path")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        wheel = build(options.compiler, say)
        if options.wheel:
            print(wheel)
        else:
            install(wheel, build_weights(options.compiler, say))
            print(f"engine: installed {wheel.name}", file=sys.stderr)
    except BuildFailed as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(f"error: {' '.join(exc.cmd[:6])} … failed with {exc.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
