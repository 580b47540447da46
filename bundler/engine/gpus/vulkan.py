"""Build the engine's backend for GPUs, libggml-vulkan.so, from the engine's own source.

The system's Vulkan loader is needed when it is loaded, not before; here a library of the same name
stands for it, so that the result is the same wherever it is made.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bundler.engine.archives import Archive, unpack_package
from bundler.engine.compilation import Insertions, run, unpack_libraries, with_insertions
from bundler.engine.gpus.shaders import FEATURES, TREE, build_shaders
from bundler.engine.llama_source import source
from bundler.engine.toolchain import BuildFailed, Toolchain, kept, key_of
from bundler.engine.wheels import GPU_BACKEND, VERSION
from runtime.host import app_dirs

HEADERS = (
    Archive(
        "Vulkan's headers",
        "1.4.309",
        "main/v/vulkan-loader/libvulkan-dev_1.4.309.0-1_amd64.deb",
        "8d329d465e16168afff58b1bd0dd6db46aac2cc3f56054a481b25a04e90b345a",
    ),
    Archive(
        "SPIR-V's headers",
        "1.4.309",
        "main/s/spirv-headers/spirv-headers_1.6.1+1.4.309.0-1_all.deb",
        "dc18db866d63680351c40ac6b6bece34cb52da64a7799ce1cc4f16f6bff4d064",
    ),
)
PUBLIC = ("vulkan", "vk_video", "spirv")
"""Folders of the headers: no others, since those of the C library must be the toolchain's."""
LOADER = "libvulkan.so.1"
LOADER_SOURCE = "void vkGetInstanceProcAddr(void) {}\nvoid vkGetDeviceProcAddr(void) {}\n"
"""What the backend calls by name; it asks these for the rest."""
UNITS = ("ggml-vulkan.cpp", "ggml-vulkan-buffers.cpp", "ggml-vulkan-debug.cpp")
INSERTIONS: Insertions = {
    "ggml-vulkan-common.h": [
        # A set that was bound for another shader has more buffers than this one writes, and they
        # may be gone. No shader reads them; Mesa 22's lavapipe does, which spoils its heap.
        (
            "        ctx->device->device.updateDescriptorSets({ write_descriptor_set }, {});\n",
            "        const std::vector<vk::DescriptorBufferInfo> modelembed_rest(\n"
            "            MAX_PARAMETER_COUNT - pipeline->parameter_count,\n"
            "            *descriptor_buffer_infos.begin());\n"
            "        if (!modelembed_rest.empty()) {\n"
            "            ctx->device->device.updateDescriptorSets({ vk::WriteDescriptorSet{\n"
            "                descriptor_set, pipeline->parameter_count, 0,\n"
            "                (uint32_t) modelembed_rest.size(),\n"
            "                vk::DescriptorType::eStorageBuffer, nullptr, modelembed_rest.data()\n"
            "            } }, {});\n"
            "        }\n",
        ),
    ],
}
"""What is put behind a line of the engine's."""
FLAGS = (
    "-std=c++17", "-O3", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden",
    "-fno-sanitize=undefined", "-w", "-D_GNU_SOURCE", "-D_XOPEN_SOURCE=600", "-DGGML_BACKEND_DL",
    "-DGGML_BACKEND_BUILD", "-DGGML_BACKEND_SHARED", "-DGGML_SHARED", "-DGGML_SCHED_MAX_COPIES=4",
)  # fmt: skip
LINK_FLAGS = ("-shared", "-s", "-pthread", "-Wl,--gc-sections", "-Wl,-rpath,$ORIGIN")
INCLUDES = (TREE, "ggml/src", "ggml/include")
USUAL_MINUTES = 5


def build_vulkan(toolchain: Toolchain, wheel: Path, say: Callable[[str], None]) -> Path | None:
    """Return libggml-vulkan.so for the libraries in the engine's `wheel`; made now unless kept.

    Return None where it cannot be made, having said why: programs work without.
    """
    words = [VERSION, *toolchain.words, *FEATURES, *FLAGS, *LINK_FLAGS, LOADER_SOURCE]
    words += [str(INSERTIONS)]
    key = key_of(*words, *(archive.sha256 for archive in HEADERS), wheel.parent.name)

    def make(target: Path) -> None:
        shaders = build_shaders(say)
        tree = source(say)
        with tempfile.TemporaryDirectory(prefix="modelembed-vulkan-") as name:
            scratch = Path(name)
            units = [*_units(tree / TREE, scratch), *sorted(shaders.glob("*.cpp"))]
            say(
                f"engine: compiling the backend for GPUs, {len(units)} files with "
                f"{toolchain.name}; usually {USUAL_MINUTES} minutes on 2 cores"
            )
            includes = [*(tree / folder for folder in INCLUDES), shaders, _headers(scratch)]
            objects = _compile(toolchain, units, [f"-I{path}" for path in includes], scratch)
            _link(toolchain, objects, unpack_libraries(wheel, scratch), target / GPU_BACKEND)

    try:
        return (
            kept(app_dirs.cache() / "vulkan" / f"{VERSION}-{toolchain.name}-{key}", make)
            / GPU_BACKEND
        )
    except BuildFailed as exc:
        say(f"warning: programs will not use GPUs: {exc}")
        return None


def _units(folder: Path, scratch: Path) -> list[Path]:
    """Return copies of the backend's files, beside its header, which they look for there first."""
    for name, insertions in INSERTIONS.items():
        with_insertions(folder / name, insertions, scratch)
    return [with_insertions(folder / name, (), scratch) for name in UNITS]


def _headers(scratch: Path) -> Path:
    """Return a folder of Vulkan's headers alone."""
    root, found = scratch / "headers", scratch / "include"
    for folder in (root, found):
        folder.mkdir()
    for archive in HEADERS:
        unpack_package(archive, root)
    for name in PUBLIC:
        (root / "usr/include" / name).rename(found / name)
    return found


def _compile(
    toolchain: Toolchain, units: Sequence[Path], includes: Sequence[str], scratch: Path
) -> list[Path]:
    def compile_one(unit: Path) -> Path:
        made = scratch / f"{unit.name}.o"
        run(
            [toolchain.cxx, *FLAGS, *FEATURES, *includes, "-c", "-o", str(made), str(unit)],
            made.name,
        )
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, units))


def _link(toolchain: Toolchain, objects: Sequence[Path], libraries: Path, target: Path) -> None:
    text, loader = libraries / "loader.c", libraries / LOADER
    text.write_text(LOADER_SOURCE)
    shared = ["-shared", "-fPIC", f"-Wl,-soname,{LOADER}", "-o", str(loader)]
    run([toolchain.cc, *shared, str(text)], LOADER)
    command = [toolchain.cxx, *LINK_FLAGS, "-o", str(target), *map(str, objects)]
    run([*command, f"-L{libraries}", "-lggml-base", str(loader)], target.name)
