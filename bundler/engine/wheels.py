"""Build the wheels of the engine and zstandard, and our own libraries of one C file each.

llama-cpp-python so that one set of libraries runs on every CPU of its architecture: the wheel on
the package index is source only, and its default build is tuned to the building machine; this one
has a CPU library for each level of features, loaded at run time. zstandard because clang makes its
Huffman decoder, which is most of a restore, a tenth faster than the compiler of its wheels does.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bundler.engine.toolchain import (
    LIBOMP,
    BuildFailed,
    Toolchain,
    compiled,
    kept,
    key_of,
    packages,
)
from runtime.host import app_dirs

VERSION = "0.3.36"
ZSTANDARD = "0.25.0"
WHEEL = "wheel==0.45.1"
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
OUR_OWN: Mapping[str, str] = {
    "libweights.so": "runtime/weights/byte_planes.c",
    "libsandbox.so": "runtime/sandbox/restriction.c",
    "libsearch.so": "runtime/search/search.c",
}
"""Our own libraries of a single C file each."""
GPU_BACKEND = "libggml-vulkan.so"
"""The only library that may be missing: see vulkan.py."""
OWN_FLAGS = ("-O3", "-fno-sanitize=undefined", "-shared", "-fPIC", "-s")
ZSTANDARD_FLAGS = "-O3 -g0 -fno-sanitize=undefined"


def build(toolchain: Toolchain, scratch: Path, say: Callable[[str], None] = print) -> Path:
    """Return the engine's wheel, built now unless the cache has it."""

    def make(target: Path) -> None:
        if toolchain.dropped:
            say(
                f"engine: {toolchain.name} {toolchain.version} miscompiles AMX; leaving out "
                f"{', '.join(toolchain.dropped)} (CPUs with AMX will use the next best)"
            )
        say(
            f"engine: compiling llama-cpp-python {VERSION} for every CPU of "
            f"{toolchain.target.name} with {toolchain.name} {toolchain.version}; "
            f"usually {USUAL_MINUTES} minutes on 2 cores"
        )
        shutil.copy2(_repair(_compile(toolchain, scratch, say), toolchain, scratch), target)

    return _cached(kept_folder(toolchain), make, say)


def build_zstandard(toolchain: Toolchain, say: Callable[[str], None] = print) -> Path | None:
    """Return the wheel of zstandard; None where this compiler makes it no faster than it is."""
    if toolchain.name == "gcc":
        return None

    def make(target: Path) -> None:
        say(f"engine: compiling zstandard {ZSTANDARD} with {toolchain.name}; usually a minute")
        environment = {
            "CC": toolchain.cc, "LDSHARED": f"{toolchain.cc} -shared", "CFLAGS": ZSTANDARD_FLAGS,
        }  # fmt: skip
        # A second binding, which nothing here uses, would double the time.
        options = ["--config-settings=--build-option=--no-cffi-backend"]
        _wheel("zstandard", ZSTANDARD, target, environment, options)

    key = key_of(ZSTANDARD, *toolchain.words, sys.version, ZSTANDARD_FLAGS)
    folder = app_dirs.cache() / "wheels" / f"zstandard-{ZSTANDARD}-{toolchain.name}-{key}"
    return _cached(folder, make, say)


def _cached(folder: Path, make: Callable[[Path], None], say: Callable[[str], None]) -> Path:
    """Return the wheel in a folder of the cache, which `make` fills where it is missing."""
    if folder.is_dir():
        say(f"engine: using the compiled wheel from {folder}")
    return next(kept(folder, make).glob("*.whl"))


def kept_folder(toolchain: Toolchain) -> Path:
    """Return where the engine's wheel is kept, by all it depends on; it need not be there yet."""
    words = [VERSION, *toolchain.words, LIBOMP]
    digest = key_of(*words, *FLAGS, PROJECT_INCLUDE, *toolchain.dropped, "1")
    return app_dirs.cache() / "wheels" / f"llama-cpp-python-{VERSION}-{toolchain.name}-{digest}"


def _compile(toolchain: Toolchain, scratch: Path, say: Callable[[str], None]) -> Path:
    include = scratch / "options.cmake"
    include.write_text(PROJECT_INCLUDE)
    compilers = [f"-DCMAKE_C_COMPILER={toolchain.cc}", f"-DCMAKE_CXX_COMPILER={toolchain.cxx}"]
    arguments = [*FLAGS, *compilers, *toolchain.arguments, f"-DCMAKE_PROJECT_INCLUDE={include}"]
    strip = str(toolchain.target.is_here).lower()
    options = ["--config-settings=build.targets=llama", f"--config-settings=install.strip={strip}"]
    begin = shown = time.monotonic()

    def follow(line: str) -> None:
        nonlocal shown
        step = re.match(r"\s*\[(\d+)/(\d+)\]", line)
        if step and (time.monotonic() - shown > 15 or step[1] == step[2]):
            shown = time.monotonic()
            say(f"engine: {step[1]} of {step[2]} files, {(shown - begin) / 60:.1f} minutes")

    environment = {"CMAKE_ARGS": " ".join(arguments)}
    return _wheel("llama-cpp-python", VERSION, scratch / "wheel", environment, options, follow)


def _wheel(
    name: str,
    version: str,
    target: Path,
    environment: Mapping[str, str],
    options: Sequence[str],
    follow: Callable[[str], None] = lambda _: None,
) -> Path:
    """Compile a package from its source into the folder `target`; `follow` gets what pip says."""
    log = app_dirs.cache() / "engine-build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-binary", name, f"{name}=={version}"]
    command += [*options, "--wheel-dir", str(target)]
    with (
        open(log, "w") as record,
        subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            record.write(line)
            follow(line)
    wheels = list(target.glob("*.whl"))
    if process.returncode or not wheels:
        raise BuildFailed(f"{name} could not be compiled; the whole output is in {log}")
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
    if not toolchain.target.is_here:  # the backend knows no other machine than this one
        tags = next(root.glob("*.dist-info")) / "WHEEL"
        tag = f"Tag: py3-none-{toolchain.target.system}_{toolchain.target.machine}"
        tags.write_text(re.sub(r"^Tag: .*$", tag, tags.read_text(), flags=re.MULTILINE))
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


def is_portable(folder: Path) -> bool:
    """Tell whether the libraries in `folder` were compiled for the oldest systems of a target."""
    return "\ncompiler zig " in (folder / STAMP).read_text(encoding="utf-8")


def build_own(toolchain: Toolchain, name: str) -> Path:
    """Return one of OUR_OWN, compiled now unless kept."""
    source = Path(__file__).parents[2] / OUR_OWN[name]
    words = [*toolchain.words, *OWN_FLAGS]
    return compiled(name, words, [source], [toolchain.cc, *OWN_FLAGS])


def install(wheels: Sequence[Path], libraries: Mapping[str, Path]) -> None:
    """Install `wheels` and what they need into the running environment.

    The `libraries`, by the names that they get, are put beside the engine's own.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    names = [str(wheel) for wheel in wheels]
    subprocess.run([*command, *names], check=True)
    # The same versions built otherwise would be kept, so the wheels themselves are always put in.
    subprocess.run([*command, "--no-deps", "--force-reinstall", *names], check=True)
    show = [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    site = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    folder = Path(site) / "llama_cpp" / "lib"
    (folder / GPU_BACKEND).unlink(missing_ok=True)  # one of before, which pip knows nothing of
    for name, library in libraries.items():
        shutil.copy2(library, folder / name)
