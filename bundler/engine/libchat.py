"""Build libchat: llama.cpp's chat library, behind the C interface of runtime/model/cpp.

It is compiled from the engine's own source distribution, so that both are of the same commit, and
linked statically with what it needs of it; only libllama is shared.

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

NAME = "libchat.so"
OWN = Path(__file__).parents[2] / "runtime" / "model" / "cpp"
GRAMMAR = "src/llama-grammar.cpp"
"""Grammars, once more: the engine's own can neither be stopped nor say what is wrong."""
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
WATCHED: Insertions = {
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
USUAL_MINUTES = 3


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
            flags_of = functools.partial(_flags, tree=tree)
            objects = compilation.objects(toolchain, units, flags_of, WATCHED, Path(folder))
            compilation.link(toolchain, LINK_FLAGS, objects, wheel, target / NAME)

    folder = app_dirs.cache() / "libchat" / f"{VERSION}-{toolchain.name}-{key}"
    return kept(folder, make) / NAME


def _flags(unit: Path, tree: Path) -> list[str]:
    includes = [f"-I{OWN}", *(f"-I{tree / folder}" for folder in INCLUDES)]
    flags = [*FLAGS, *includes, "-iquote", str(unit.parent), *FILE_FLAGS.get(unit.name, ())]
    return [*flags, "-include", "budget.h"] if unit.name in WATCHED else flags
