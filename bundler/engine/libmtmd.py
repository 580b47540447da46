"""Build libmtmd: llama.cpp's library for models that see and hear.

It is compiled from the engine's own source distribution, so that both are of the same commit, and
linked with the engine's libraries. What is put into llama.cpp's source, and why, is in
runtime/model/projector/cpp. Video is left out, since it would need programs of others.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from bundler.engine import compilation
from bundler.engine.compilation import Insertions
from bundler.engine.llama_source import source
from bundler.engine.toolchain import Toolchain, kept, key_of
from bundler.engine.wheels import VERSION
from runtime.host import app_dirs

NAME = "libmtmd.so"
OWN = Path(__file__).parents[2] / "runtime" / "model" / "projector" / "cpp"
FOLDER = "tools/mtmd"
UNITS = (
    "clip.cpp", "mtmd.cpp", "mtmd-audio.cpp", "mtmd-image.cpp", "mtmd-helper*.cpp", "models/*.cpp",
)  # fmt: skip
HASHES = ("vendor/hash/hash.cpp", "vendor/hash/sha256/sha256.c")
INSERTIONS: Insertions = {
    "clip.cpp": [('#include "gguf.h"\n', '#include "opened.h"\n')],
}
"""What is put behind a line of llama.cpp's."""
BLOCKS = 1 << 18
"""Of a PNG's packed pixels: PICTURE_PARTS of runtime/bounds.py."""
HEADERS: Insertions = {
    "vendor/stb/stb_image.h": [
        # Each code of a GIF stands for up to 4094 pixels, which were gone through even where the
        # picture was full: a megabyte of them took eleven seconds.
        (
            "   // recurse to decode the prefixes, since the linked-list is backwards,\n",
            "   if (g->cur_y >= g->max_y) return;\n",
        ),
        # Ten bits are a block of a PNG that is empty, for which tables were made: 33 MB of them
        # took a minute.
        ("   a->hit_zeof_once = 0;\n", "   int modelembed_blocks = 0;\n"),
        (
            "      final = stbi__zreceive(a,1);\n",
            f"      if (++modelembed_blocks > {BLOCKS})\n"
            '         return stbi__err("too many blocks", "Corrupt PNG");\n',
        ),
    ],
}
"""The same for headers, which are found before llama.cpp's own."""
INCLUDES = (FOLDER, "include", "ggml/include", "vendor", "vendor/hash")
CPP_FLAGS = ("-std=c++17", "-fvisibility-inlines-hidden")
FLAGS = (
    "-O2", "-DNDEBUG", "-D_GNU_SOURCE", "-DLLAMA_SHARED", "-DLLAMA_BUILD",
    "-DGGML_SHARED", "-DGGML_BACKEND_SHARED", "-fPIC", "-fvisibility=hidden",
    "-ffunction-sections", "-fdata-sections", "-fno-sanitize=undefined", "-w",
    # Formats that nobody sends are not decoded.
    "-DSTBI_ONLY_PNG", "-DSTBI_ONLY_JPEG", "-DSTBI_ONLY_BMP", "-DSTBI_ONLY_GIF",
)  # fmt: skip
LINK_FLAGS = ("-shared", "-s", "-Wl,--gc-sections", "-Wl,-rpath,$ORIGIN")
USUAL_MINUTES = 3


def build_media(toolchain: Toolchain, wheel: Path, say: Callable[[str], None] = print) -> Path:
    """Return libmtmd.so, for the libraries in the engine's `wheel`; made now unless kept."""
    own = sorted(OWN.iterdir())
    words = [VERSION, *toolchain.words, *(file.read_text() for file in own)]
    words += [*UNITS, *CPP_FLAGS, *FLAGS, str(INSERTIONS), str(HEADERS), *LINK_FLAGS]
    key = key_of(*words, wheel.parent.name)

    def make(target: Path) -> None:
        tree = source(say)
        units = sorted(unit for glob in UNITS for unit in (tree / FOLDER).glob(glob))
        units += [tree / name for name in HASHES]
        units += [file for file in own if file.suffix == ".cpp"]
        say(
            f"engine: compiling {NAME}, {len(units)} files with {toolchain.name}; "
            f"usually {USUAL_MINUTES} minutes on 2 cores"
        )
        with tempfile.TemporaryDirectory(prefix="modelembed-media-") as folder:
            headers = _with_headers(tree, Path(folder))
            flags_of = functools.partial(_flags, tree=tree, headers=headers)
            objects = compilation.objects(toolchain, units, flags_of, INSERTIONS, Path(folder))
            compilation.link(toolchain, LINK_FLAGS, objects, wheel, target / NAME)

    folder = app_dirs.cache() / "libmtmd" / f"{VERSION}-{toolchain.name}-{key}"
    return kept(folder, make) / NAME


def _with_headers(tree: Path, scratch: Path) -> Path:
    """Return a folder with copies of headers, with what is put into them."""
    folder = scratch / "headers"
    for name, insertions in HEADERS.items():
        (parent := folder / Path(name).parent.name).mkdir(parents=True)
        compilation.with_insertions(tree / name, insertions, parent)
    return folder


def _flags(unit: Path, tree: Path, headers: Path) -> list[str]:
    folders = (headers, OWN, *(tree / folder for folder in INCLUDES))
    includes = [f"-I{folder}" for folder in folders]
    language = () if unit.suffix == ".c" else CPP_FLAGS
    return [*language, *FLAGS, *includes, "-iquote", str(unit.parent)]
