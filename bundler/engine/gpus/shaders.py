"""Vulkan's shaders, compiled: the same for every target, so they are kept apart from the library.

By the shader compiler of a newer Debian than may be at hand: older ones lack what makes matrix
products fast on new devices. It is run with its own C library, so that this machine's may be any.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bundler.engine.archives import Archive, unpack_package
from bundler.engine.llama_source import source
from bundler.engine.toolchain import BuildFailed, find, kept, key_of
from bundler.engine.wheels import VERSION
from bundler.targets import here
from runtime.host import app_dirs

TREE = "ggml/src/ggml-vulkan"
HEADER = "ggml-vulkan-shaders.hpp"
COMPILER = (  # of Debian 13
    Archive(
        "the shader compiler",
        "2025.2",
        "main/s/shaderc/glslc_2025.2-1_amd64.deb",
        "e05374965709159303041b104d4a26022d6ac5eb8296450364d66ae864a20367",
    ),
    Archive(
        "the shader compiler's library",
        "2025.2",
        "main/s/shaderc/libshaderc1_2025.2-1_amd64.deb",
        "2a67c8f784c65e1aa0d251819c020917405b490fbb543c6a73a52a631e476463",
    ),
    Archive(
        "the shader compiler's C library",
        "2.41",
        "main/g/glibc/libc6_2.41-12+deb13u5_amd64.deb",
        "b59b0625cd1a791375d40dab23a4d5d3d0641e3d0a773501becdc3725b7f99cf",
    ),
    Archive(
        "the shader compiler's C++ library",
        "14.2.0",
        "main/g/gcc-14/libstdc++6_14.2.0-19_amd64.deb",
        "ab1fa05837aa7a92aae748fd07a18a35f7d18bb4a71c4724fe2bbf0e32089de0",
    ),
    Archive(
        "the shader compiler's run-time library",
        "14.2.0",
        "main/g/gcc-14/libgcc-s1_14.2.0-19_amd64.deb",
        "3c71917b490d1a17aed43196a2787a256ecf060526cdb20216a74bedc061b150",
    ),
)
FEATURES = (
    "-DGGML_VULKAN_COOPMAT_GLSLC_SUPPORT",
    "-DGGML_VULKAN_COOPMAT2_GLSLC_SUPPORT",
    "-DGGML_VULKAN_INTEGER_DOT_GLSLC_SUPPORT",
)
"""What this shader compiler knows of what the engine's CMake would find out by trying."""
USUAL_MINUTES = 5


def build_shaders(say: Callable[[str], None] = print) -> Path:
    """Return a folder of C++ sources with the shaders, and their header; made unless kept."""
    key = key_of(VERSION, *(archive.sha256 for archive in COMPILER), *FEATURES, "1")

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="modelembed-shaders-") as name:
            scratch = Path(name)
            compiler = _compiler(scratch)
            tree = source(say) / TREE / "vulkan-shaders"
            generator = _generator(tree, scratch, say)
            shaders = sorted(tree.glob("*.comp"))
            say(
                f"engine: compiling {len(shaders)} shaders for GPUs; "
                f"usually {USUAL_MINUTES} minutes on 2 cores"
            )
            command = [str(generator), "--output-dir", str(scratch / "spv")]
            command += ["--target-hpp", str(target / HEADER)]
            _run(command, HEADER)
            for shader in shaders:
                made = target / f"{shader.name}.cpp"
                more = ["--glslc", compiler, "--source", str(shader), "--target-cpp", str(made)]
                _run([*command, *more], shader.name)
                made.with_name(f"{made.name}.d").unlink(missing_ok=True)

    return kept(app_dirs.cache() / "shaders" / f"{VERSION}-{key}", make)


def _compiler(scratch: Path) -> str:
    """Return the path of the shader compiler, unpacked into `scratch`."""
    if platform.machine() != "x86_64":
        raise BuildFailed(
            "the shader compiler is for x86-64 alone. Build for this machine on one of that kind: "
            f"python -m bundler.engine --target linux-{platform.machine()}"
        )
    root = scratch / "compiler"
    root.mkdir()
    for archive in COMPILER:
        unpack_package(archive, root)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = libraries / "ld-linux-x86-64.so.2"
    script = scratch / "glslc"
    script.write_text(
        f"#!/bin/sh\nexec '{loader}' --library-path '{libraries}' '{root}/usr/bin/glslc' \"$@\"\n"
    )
    script.chmod(0o755)
    return str(script)


def _generator(tree: Path, scratch: Path, say: Callable[[str], None]) -> Path:
    """Return llama.cpp's program that knows all variants of the shaders, compiled for here."""
    machine = here()
    if machine is None:
        raise BuildFailed("this machine is none that shaders can be compiled on")
    tools = scratch / "tools"
    tools.mkdir()
    toolchain = find("auto", machine, tools, say)
    made = scratch / "vulkan-shaders-gen"
    flags = ["-std=c++17", "-O1", "-pthread", "-w", *FEATURES]
    _run([toolchain.cxx, *flags, "-o", str(made), str(tree / f"{made.name}.cpp")], made.name)
    return made


def _run(command: list[str], what: str) -> None:
    # The folder with a compiled shader's text is read by `#include`, relative to the shader.
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        raise BuildFailed(
            f"{what} could not be compiled:\n{(done.stderr + done.stdout).strip()[-2000:]}"
        )
