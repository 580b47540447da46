"""Build libchat: llama.cpp's chat library, behind the C interface of runtime/model/cpp.

It is compiled from the engine's own source distribution, so that both are of the same commit, and
linked statically with what it needs of it; only libllama is shared.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bundler.engine.toolchain import BuildFailed, Toolchain, kept, key_of
from bundler.engine.wheels import VERSION
from runtime.host import app_dirs

OWN = Path(__file__).parents[2] / "runtime" / "model" / "cpp"
VENDORED = f"llama_cpp_python-{VERSION}/vendor/llama.cpp"
GRAMMAR = "src/llama-grammar.cpp"
"""Grammars, once more: the engine's own can neither be stopped nor say what is wrong."""
KEPT = (
    "common/", "include/", "ggml/include/", "vendor/nlohmann/", "models/templates/", "LICENSE",
    GRAMMAR, "src/llama-grammar.h", "src/llama-impl.h", "src/llama-sampler.h", "src/llama-vocab.h",
    "src/llama-ext.h", "ggml/src/ggml-rpc/", "ggml/src/ggml-vulkan/", "ggml/src/ggml-cuda/",
    "ggml/src/ggml-impl.h", "ggml/src/ggml-common.h", "ggml/src/ggml-backend-impl.h",
    "tools/mtmd/", "vendor/hash/", "vendor/miniaudio/", "vendor/stb/",
)  # fmt: skip
"""What is kept of the source distribution; the templates are for tests."""
COMMON = (
    "chat*.cpp",
    "common.cpp",
    "fit.cpp",
    "jinja/*.cpp",
    "json*.cpp",
    "log.cpp",
    "parsers/*.cpp",
    "peg-parser.cpp",
    "reasoning-budget.cpp",
    "trie.cpp",
    "unicode.cpp",
)
NOTE_FLAGS = ("-Dfprintf=libchat_note", "-Dllama_log_internal=libchat_log")
"""For files that print on stderr, and log, what is wrong; notes.cpp takes that down instead."""
PLACEMENT_FLAGS = (
    "-Dllama_model_load_from_file=libchat_load", "-Dcommon_log_get_verbosity_thold=libchat_silence",
)  # fmt: skip
"""For a file that would load a model from a path, and print what it finds; see placement.cpp."""
FILE_FLAGS = {
    "fit.cpp": PLACEMENT_FLAGS,
    "json-schema-to-grammar.cpp": NOTE_FLAGS,
    "llama-grammar.cpp": NOTE_FLAGS,
}
WATCHED: Mapping[str, Sequence[tuple[str, str]]] = {
    "runtime.cpp": [
        ("value statement::execute(context & ctx) const {\n", "const Watched watched;\n"),
        ("for (int64_t i = 0; i < repeat; ++i) {\n", "check_budget();\n"),
    ],
    "value.cpp": [("str.replace(pos, old_str.length(), new_str);\n", "check_budget();\n")],
    "llama-grammar.cpp": [
        (
            "        std::vector<bool> * rules_may_be_empty) {\n",
            "check_budget();\nif ((*rules_visited)[rule_index]) { return false; }\n",
        )
    ],
}
"""What is put behind a line of llama.cpp's, so that it can be stopped there; see budget.h."""
INCLUDES = ("common", "src", "include", "ggml/include", "vendor")
FLAGS = (
    "-std=c++17", "-O2", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden",
    "-ffunction-sections", "-fdata-sections", "-fno-sanitize=undefined", "-w",
)  # fmt: skip
LINK_FLAGS = ("-shared", "-s", "-Wl,--gc-sections", "-Wl,-rpath,$ORIGIN")
LIBRARIES = ("libllama.so", "libggml-base.so", "libggml.so")
USUAL_MINUTES = 3


def source(say: Callable[[str], None] = print) -> Path:
    """Return llama.cpp's source tree as the engine is compiled from it, the parts in KEPT."""

    def fetch(target: Path) -> None:
        say(f"engine: fetching the source of llama-cpp-python {VERSION}; usually half a minute")
        with tempfile.TemporaryDirectory(prefix="modelembed-source-") as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--no-binary", "llama-cpp-python"]
            command += ["--dest", folder, f"llama-cpp-python=={VERSION}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            archive = next(Path(folder).glob("*.tar.gz"), None)
            if done.returncode or archive is None:
                tail = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
                raise BuildFailed(
                    f"pip cannot fetch the source of llama-cpp-python {VERSION} ({tail[0]})"
                )
            with tarfile.open(archive) as tar:
                for member in tar:
                    inner = member.name.removeprefix(f"{VENDORED}/")
                    if member.isfile() and inner != member.name and inner.startswith(KEPT):
                        member.name = inner
                        tar.extract(member, target, filter="data")

    return kept(app_dirs.cache() / "sources" / f"llama-cpp-python-{VERSION}-{key_of(*KEPT)}", fetch)


def build_chat(toolchain: Toolchain, wheel: Path, say: Callable[[str], None] = print) -> Path:
    """Return libchat.so, for the libraries in the engine's `wheel`; made now unless kept."""
    own = sorted(OWN.iterdir())
    words = [VERSION, *toolchain.words]
    words += [file.read_text() for file in own]
    words += [*COMMON, GRAMMAR, *FLAGS, str(FILE_FLAGS), str(WATCHED), *LINK_FLAGS]
    key = key_of(*words, wheel.parent.name)

    def make(target: Path) -> None:
        tree = source(say)
        units = [file for file in own if file.suffix == ".cpp"]
        units += sorted(file for glob in COMMON for file in (tree / "common").glob(glob))
        units.append(tree / GRAMMAR)
        say(
            f"engine: compiling the chat library, {len(units)} files with {toolchain.name}; "
            f"usually {USUAL_MINUTES} minutes on 2 cores"
        )
        with tempfile.TemporaryDirectory(prefix="modelembed-chat-") as folder:
            scratch = Path(folder)
            objects = _compile(toolchain, tree, units, scratch)
            _link(toolchain, objects, unpack_libraries(wheel, scratch), target / "libchat.so")

    return kept(app_dirs.cache() / "libchat" / f"{VERSION}-{toolchain.name}-{key}", make) / (
        "libchat.so"
    )


def _compile(toolchain: Toolchain, tree: Path, units: Sequence[Path], scratch: Path) -> list[Path]:
    includes = [f"-I{OWN}", *(f"-I{tree / folder}" for folder in INCLUDES)]

    def compile_one(numbered: tuple[int, Path]) -> Path:
        number, unit = numbered
        made = scratch / f"{number}.o"
        flags = [*FLAGS, *includes, "-iquote", str(unit.parent), *FILE_FLAGS.get(unit.name, ())]
        if unit.name in WATCHED:
            flags += ["-include", "budget.h"]
            unit = with_insertions(unit, WATCHED[unit.name], scratch)
        run([toolchain.cxx, *flags, "-c", "-o", str(made), str(unit)], unit.name)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, enumerate(units)))


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


def _link(toolchain: Toolchain, objects: Sequence[Path], libraries: Path, target: Path) -> None:
    command = [toolchain.cxx, *LINK_FLAGS, "-o", str(target), *map(str, objects)]
    run([*command, f"-L{libraries}", "-lllama", "-lggml", "-lggml-base"], target.name)


def run(command: Sequence[str], what: str) -> None:
    """Run a compiler; raise BuildFailed with what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"{what} could not be compiled:\n{done.stderr.strip()[-2000:]}")
