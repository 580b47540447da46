"""Build the engine's backend for NVIDIA's GPUs, libggml-cuda.so, from the engine's own source.

NVIDIA's compiler takes no other host compiler than g++, whose C library is this machine's. What it
makes is linked by zig with the oldest C library of the target, and with g++'s C++ library inside,
so that it runs wherever the rest of a program does. The driver's library is needed when it is
loaded, not before; here one of the same name stands for it.

Uses nothing but the standard library, as all of the engine's build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bundler.engine.compilation import run
from bundler.engine.gpus import nvidia
from bundler.engine.gpus.nvidia import Toolkit
from bundler.engine.llama_source import source
from bundler.engine.shared_object import SharedObject
from bundler.engine.toolchain import BuildFailed, find, kept, key_of
from bundler.engine.wheels import VERSION
from bundler.targets import Target
from runtime.host import app_dirs

NAME = "libggml-cuda.so"
ARCHITECTURES: Mapping[str, str] = {
    "75": "Turing: GeForce RTX 20, T4",
    "80": "Ampere: A100",
    "86": "Ampere: GeForce RTX 30, A10",
    "87": "Ampere: Jetson Orin",
    "88": "Ampere",
    "89": "Ada: GeForce RTX 40, L4",
    "90": "Hopper: H100, H200",
    "100": "Blackwell: B200",
    "103": "Blackwell: B300",
    "110": "Blackwell: Jetson Thor",
    "120": "Blackwell: GeForce RTX 50",
    "121": "Blackwell: GB10",
}
"""What the compiler can compile for, and examples."""
USUAL = ("75", "86", "89", "90")
SPECIFIC = ("120", "121")
"""Of which ggml uses instructions that later ones lack: the compiler calls those 120a."""
TREE = "ggml/src/ggml-cuda"
UNITS = (
    "*.cu",
    *(f"template-instances/{name}*.cu" for name in ("fattn-tile", "fattn-mma", "mmq", "mmf")),
)
TYPES = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "bf16", "f16")
PAIRS = ("q4_0-q4_0", "q8_0-q8_0", "f16-f16", "bf16-bf16")
"""Types of keys and values that flash attention is compiled for, as ggml's CMake has it."""
DRIVER = "libcuda.so.1"
DRIVER_FUNCTIONS = (
    "cuDeviceGet", "cuDeviceGetAttribute", "cuGetErrorString", "cuMemAddressFree",
    "cuMemAddressReserve", "cuMemCreate", "cuMemGetAllocationGranularity", "cuMemMap",
    "cuMemRelease", "cuMemSetAccess", "cuMemUnmap",
)  # fmt: skip
HOST_FLAGS = "-fPIC,-fvisibility=hidden,-fvisibility-inlines-hidden,-w,-pthread"
FLAGS = (
    "-std=c++17", "-O3", "-use_fast_math", "-extended-lambda", "-compress-mode=size", "-w",
    "-Xcompiler", HOST_FLAGS, "-DNDEBUG", "-D_XOPEN_SOURCE=600", "-DGGML_BACKEND_DL",
    "-DGGML_BACKEND_BUILD", "-DGGML_BACKEND_SHARED", "-DGGML_SHARED", "-DGGML_SCHED_MAX_COPIES=4",
    "-DGGML_CUDA_USE_GRAPHS",
)  # fmt: skip
INCLUDES = ("ggml/src", "ggml/include")
EXPORTED = "{ global: ggml_backend_init; local: *; };\n"
"""All that ggml looks for in a backend. Another copy of g++'s library may be in the process."""
OLDER_LIBRARY = """\
#include <stdlib.h>
#include <unistd.h>
#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN char __libc_single_threaded = 0;
HIDDEN unsigned arc4random(void) {
    unsigned number;
    if (getentropy(&number, sizeof number)) abort();
    return number;
}
"""
"""What g++'s library asks of a newer C library than programs need: whether there are no threads,
and a random number. Were it left undefined, the backend would load on newer systems alone."""
LINK_FLAGS = ("-shared", "-s", "-pthread", "-Wl,-rpath,$ORIGIN", "-Wl,-z,defs")
OLDEST_GXX, NEWEST_GXX = 6, 15  # of crt/host_config.h
USUAL_MINUTES = 35
"""For each architecture, on 2 cores."""
PACE = 15  # seconds between two lines that tell how far it is


@dataclass(frozen=True)
class CudaBackend:
    """What a program needs to use NVIDIA's GPUs."""

    library: Path
    runtime: tuple[Path, ...]
    """NVIDIA's libraries, which must lie beside it."""
    license: Path
    """NVIDIA's terms."""


def parse(text: str) -> tuple[str, ...]:
    """Return the architectures that are named with commas, in order; raise BuildFailed if wrong."""
    words = [word.strip() for word in text.replace("sm_", "").split(",") if word.strip()]
    unknown = [word for word in words if word not in ARCHITECTURES]
    if unknown or not words:
        known = ", ".join(f"{name} ({what})" for name, what in ARCHITECTURES.items())
        told = f"CUDA {nvidia.RELEASE} does not compile for {unknown[0]}" if unknown else "none"
        raise BuildFailed(f"{told}; the architectures of NVIDIA's GPUs are {known}")
    return tuple(sorted(set(words), key=int))


def identity(architectures: Sequence[str]) -> str:
    """Return a hash of what the backend depends on but for this machine's compilers."""
    words = [EXPORTED, OLDER_LIBRARY, *LINK_FLAGS, *DRIVER_FUNCTIONS, "1"]
    return key_of(_compiled_identity(architectures), *words)


def _compiled_identity(architectures: Sequence[str]) -> str:
    """Return a hash of what its units depend on, before they are linked."""
    return key_of(VERSION, nvidia.key(), *UNITS, *PAIRS, *FLAGS, *_code(architectures))


def build_cuda(
    target: Target, architectures: Sequence[str], engine: Path, say: Callable[[str], None]
) -> CudaBackend:
    """Return the backend for the libraries in the folder `engine`; made now unless kept."""
    compiler = require_compiler(target)
    toolkit = nvidia.toolkit(say)
    kept_in = folder_of(target, architectures, compiler)

    def make(folder: Path) -> None:
        tree = source(say)
        version = _output([compiler, "-dumpfullversion"])
        objects = kept_in.with_name(f"objects-{key_of(_compiled_identity(architectures), version)}")
        made = _compile(toolkit, compiler, tree, architectures, objects, say)
        with tempfile.TemporaryDirectory(prefix="modelembed-cuda-") as scratch:
            _link(target, compiler, toolkit, [*made, engine / "libggml-base.so"],
                  folder / NAME, Path(scratch), say)  # fmt: skip
        shutil.rmtree(objects, ignore_errors=True)

    library = kept(kept_in, make) / NAME
    return CudaBackend(library, toolkit.runtime, toolkit.license)


def folder_of(target: Target, architectures: Sequence[str], compiler: str) -> Path:
    """Return where the library is kept; it need not be there yet."""
    version = _output([compiler, "-dumpfullversion"])
    key = key_of(identity(architectures), version, target.glibc)
    return app_dirs.cache() / "cuda" / f"{VERSION}-{'-'.join(architectures)}-{key}"


def units(tree: Path) -> list[Path]:
    """Return the files to compile, of the engine's source `tree`."""
    globs = [*UNITS, *(f"template-instances/fattn-vec-instance-{pair}.cu" for pair in PAIRS)]
    return [path for glob in globs for path in sorted((tree / TREE).glob(glob))]


def definitions() -> list[str]:
    """Return the flags that tell ggml which of PAIRS are compiled."""
    quoted = ",".join(PAIRS)
    return [
        f'-DGGML_CUDA_FA_QUANTS="{quoted}"',
        *(
            f"-DGGML_CUDA_FA_{keys.upper()}_{values.upper()}={int(f'{keys}-{values}' in PAIRS)}"
            for values in TYPES
            for keys in TYPES
        ),
    ]


def require_compiler(target: Target) -> str:
    """Return the g++ to compile for a target with; raise BuildFailed where that cannot be done."""
    if not target.is_here or target.machine != "x86_64":
        raise BuildFailed(
            f"CUDA is compiled on Linux on x86-64 for the same alone, not for {target.name}; "
            "programs for it use GPUs by Vulkan"
        )
    return host_compiler()


def host_compiler() -> str:
    """Return the g++ to use; raise BuildFailed where none is one that NVIDIA's compiler takes."""
    found = []
    for name in ("g++", *(f"g++-{number}" for number in range(NEWEST_GXX, OLDEST_GXX - 1, -1))):
        if path := shutil.which(name):
            version = _output([path, "-dumpfullversion"])
            if OLDEST_GXX <= int(version.partition(".")[0]) <= NEWEST_GXX:
                return path
            found.append(f"{name} is {version}")
    raise BuildFailed(
        f"CUDA {nvidia.RELEASE} needs g++ {OLDEST_GXX} to {NEWEST_GXX}, and "
        f"{', '.join(found) or 'there is none'}. Install one (Debian: apt-get install g++, "
        "or a version of it: g++-14)"
    )


def _code(architectures: Iterable[str]) -> list[str]:
    """Return the flags for what is compiled for.

    The newest is also kept in a form that the drivers of later ones translate.
    """
    names = [f"{name}a" if name in SPECIFIC else name for name in architectures]
    flags = [f"-gencode=arch=compute_{name},code=sm_{name}" for name in names]
    if names[-1].isdigit():
        flags.append(f"-gencode=arch=compute_{names[-1]},code=compute_{names[-1]}")
    return flags


def _compile(
    toolkit: Toolkit,
    compiler: str,
    tree: Path,
    architectures: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
) -> list[Path]:
    """Return the compiled units in `folder`; those that an earlier try has left there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = units(tree)
    say(
        f"engine: compiling the backend for NVIDIA's GPUs ({', '.join(architectures)}), "
        f"{len(todo)} files; usually {USUAL_MINUTES * len(architectures)} minutes on 2 cores"
    )
    includes = [*(tree / name for name in INCLUDES), *toolkit.includes]
    command = [str(toolkit.nvcc), "-ccbin", compiler, *FLAGS, *definitions()]
    command += [*_code(architectures), *(f"-I{path}" for path in includes), "-c"]
    begin = shown = time.monotonic()
    count = 0

    def compile_one(unit: Path) -> Path:
        nonlocal shown, count
        made = folder / f"{unit.stem}.o"
        if not made.exists():
            staged = made.with_suffix(f".{os.getpid()}.o")
            run([*command, "-o", str(staged), str(unit)], unit.name)
            staged.rename(made)
        count += 1
        now = time.monotonic()
        if now - shown > PACE or count == len(todo):
            shown = now
            say(f"engine: {count} of {len(todo)} files, {(now - begin) / 60:.1f} minutes")
        return made

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # what a container gives, too
        return list(pool.map(compile_one, todo))


def _link(
    target: Target,
    compiler: str,
    toolkit: Toolkit,
    objects: Sequence[Path],
    library: Path,
    scratch: Path,
    say: Callable[[str], None],
) -> None:
    """Link by zig; by g++, for this machine's C library and newer ones, where that fails."""
    exported, older = scratch / "exported.map", scratch / "older.c"
    exported.write_text(EXPORTED)
    older.write_text(OLDER_LIBRARY)
    driver = scratch / DRIVER
    text = scratch / "driver.c"
    text.write_text("".join(f"void {name}(void) {{}}\n" for name in DRIVER_FUNCTIONS))
    run([compiler, "-x", "c", "-shared", "-fPIC", f"-Wl,-soname,{DRIVER}", "-o", str(driver),
         str(text)], DRIVER)  # fmt: skip
    common = [*LINK_FLAGS, f"-Wl,--version-script={exported}", "-o", str(library)]
    common += [*map(str, objects), *map(str, toolkit.runtime[:2]), str(driver)]
    try:
        toolchain = find("zig", target, scratch, say)
        libraries = [_output([compiler, "-print-file-name=libstdc++.a"]), "-lunwind", "-ldl"]
        run([toolchain.cc, *common, str(older), *libraries], NAME)
    except BuildFailed as exc:
        say(f"engine: linking {NAME} by {compiler}: {exc}")
        run([compiler, *common, "-static-libstdc++", "-static-libgcc", "-ldl"], NAME)
    needed = ".".join(map(str, SharedObject.parse(library.read_bytes()).glibc))
    if tuple(map(int, needed.split("."))) > tuple(map(int, target.glibc.split("."))):
        say(f"warning: NVIDIA's GPUs will be used with glibc {needed} or newer only")


def _output(command: Sequence[str]) -> str:
    """Return what a compiler says about itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (text := done.stdout.strip()):
        raise BuildFailed(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return text
