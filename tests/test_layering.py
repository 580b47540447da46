"""Imports point one way: from the command line down to the errors, never up, never across."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUNTIME = sorted((ROOT / "runtime").glob("*.py"))
SERVER = sorted((ROOT / "runtime" / "server").glob("*.py"))
BUNDLER = sorted((ROOT / "bundler").glob("*.py"))

# Runtime's modules, a layer a line; a module may import from the layers above its own line.
LAYERS = (
    {"printable"},
    {
        "boot",
        "command",
        "runtime",
        "errors",
        "units",
        "strangers",
        "option",
        "stats",
        "text",
        "disk",
        "folders",
        "ggml",
        "highlight",
        "hashing",
        "mapping",
    },
    {
        "generation_tag",
        "libraries",
        "elf",
        "thinking",
        "markdown",
        "format",
        "output",
        "source",
        "minisign",
        "gguf",
        "seekable",
        "sampling_options",
        "serve_options",
        "machine",
        "report",
        "unpacked",
        "terminal",
        "template_name",
        "files",
    },
    {"llama", "outcome", "weights", "stream", "secret"},
    {"chunks", "saved"},
    {"screen", "options", "payload", "memory", "cpu", "template", "schema", "batch"},
    {"progress", "restore", "adapters", "weld"},
    {"cache", "casing", "cfile", "composition", "beginning"},
    {"about"},
    {"model", "parts"},
    {"edit", "opening"},
    {"sampling", "slots", "embedder"},
    {"context", "job"},
    {"engine"},
    {"conversation", "installation"},
    {"keeper", "lora", "warmup", "fallback"},
    {"chat"},
    {"session"},
    {"inspection", "talk", "bench", "doctor", "tools"},
    {"server"},
    {"flags"},
    {"cli"},
    {"__main__"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# The same inside the server, which is a layer of the runtime by itself.
SERVER_LAYERS = (
    {"__init__", "bridge", "metrics", "assets", "problem", "supervisor"},
    {"parameters"},
    {"openai"},
    {"native", "toolcalls", "guard"},
    {"choice", "protocol", "endpoint", "messages"},
    {"openapi", "service", "listener", "remote"},
    {"answers", "inspect"},
    {"app"},
    {"run"},
)
SERVER_RANK = {name: rank for rank, names in enumerate(SERVER_LAYERS) for name in names}
SERVER_ALONE = {"starlette", "uvicorn", "h11", "msgspec"}
"""Libraries that nothing but the server needs."""

# What of the runtime each module of the bundler needs: the format, and what must be judged the
# same way at build time and at run time. The engine itself is asked through the stub.
ALLOWED: dict[str, set[str]] = {
    "__main__": set(),  # it comes before anything else is imported
    "bundle": {
        "runtime", "beginning", "edit", "errors", "format", "output", "payload", "printable",
        "progress", "units", "weld",
    },
    "check": {"errors", "units"},
    "cli": {
        "runtime", "adapters", "command", "errors", "format", "options", "output", "payload",
        "printable", "source", "template_name", "terminal", "tools", "outcome",
    },
    "compress": {
        "mapping",
        "hashing",
        "chunks", "disk", "gguf", "machine", "payload", "restore", "source", "weights", "weld",
    },  # restores samples
    "config": {"errors", "options"},
    "digest": {"source"},
    "engine": {"folders"},  # runs before anything is installed, as does the next
    "toolchain": {"folders"},
    "known": {"folders"},
    "launch": {"errors"},
    "lint": {"errors", "ggml", "gguf", "source"},
    "prewarm": {
        "beginning", "errors", "format", "hashing", "progress", "source", "units", "weights",
        "weld",
    },
    "probe": {"errors", "cpu", "libraries"},  # the proof itself; where the libraries lie
    "rebuild": {
        "edit", "errors", "format", "gguf", "machine", "hashing", "payload", "progress", "restore",
        "source", "weld",
    },
    "shipped": set(),
    "signing": {"errors", "minisign"},
    "splits": {"errors", "files", "ggml", "gguf", "payload", "source"},
    "stub": {
        "runtime", "errors", "cpu", "folders", "elf", "format", "libraries", "output", "payload",
        "template_name", "unpacked", "weights", "weld",
    },
    "temporary": {"errors"},
}  # fmt: skip

HEAVY = (
    "llama_cpp", "jinja2", "prompt_toolkit", "zstandard", "numpy", "nacl", "xxhash", "pygments",
    "starlette", "uvicorn", "msgspec", "httpx", "asyncio", "ssl",
)  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module and every name that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} has a relative import; a frozen program dies of it"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level(path: Path) -> set[str]:
    """Return the packages that a file imports from."""
    return {name.partition(".")[0] for name in imports(path)}


def of_package(path: Path, package: str) -> set[str]:
    """Return the modules of `package` that a file imports; the package's own name for itself."""
    modules = {file.stem for file in (ROOT / package).glob("*.py")} | {"server"}
    names = (name.split(".") for name in imports(path))
    return {
        words[1] if len(words) > 1 and words[1] in modules else package
        for words in names
        if words[0] == package
    }


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


@named([*RUNTIME, *SERVER])
def test_runtime_needs_nothing_of_build_time(path: Path) -> None:
    assert set() == top_level(path) & {"bundler", "PyInstaller", "gguf", "numpy"}


@named(RUNTIME)
def test_runtime_imports_only_from_layers_below(path: Path) -> None:
    name = "runtime" if path.stem == "__init__" else path.stem
    assert name in RANK, f"give {name} a place in LAYERS"
    below = {other for other in RANK if RANK[other] < RANK[name]}

    assert set() == of_package(path, "runtime") - below


@named(SERVER)
def test_the_server_imports_only_from_layers_below(path: Path) -> None:
    assert path.stem in SERVER_RANK, f"give {path.stem} a place in SERVER_LAYERS"
    below = {name for name in SERVER_RANK if SERVER_RANK[name] < SERVER_RANK[path.stem]}
    inside = {
        words[2] if len(words) > 2 and words[2] in SERVER_RANK else "__init__"
        for words in (name.split(".") for name in imports(path))
        if words[:2] == ["runtime", "server"]
    }

    assert set() == inside - below
    assert set() == of_package(path, "runtime") - {
        name for name in RANK if RANK[name] < RANK["server"]
    } - {"server"}


@named([*RUNTIME, *BUNDLER])
def test_the_server_alone_imports_the_servers_libraries(path: Path) -> None:
    assert set() == top_level(path) & SERVER_ALONE


@named([path for path in BUNDLER if path.stem != "__init__"])
def test_bundler_imports_of_the_runtime_what_is_allowed(path: Path) -> None:
    assert path.stem in ALLOWED, f"say in ALLOWED what {path.stem} may import"

    assert set() == of_package(path, "runtime") - ALLOWED[path.stem]


@named([*RUNTIME, *SERVER, *BUNDLER])
def test_one_module_alone_imports_llama_cpp(path: Path) -> None:
    assert ("llama_cpp" in top_level(path)) == (path == ROOT / "runtime" / "llama.py")


SETTING_UP = ("bundler/engine.py", "bundler/toolchain.py", "runtime/folders.py")


@named([*(ROOT / name for name in SETTING_UP), ROOT / "tools" / "prerequisites.py"])
def test_what_sets_up_needs_the_standard_library_alone(path: Path) -> None:
    ours = {"bundler": {"toolchain"}, "runtime": {"folders"}}

    assert set() == top_level(path) - sys.stdlib_module_names - set(ours)
    for package, modules in ours.items():
        assert set() == of_package(path, package) - modules


@pytest.mark.parametrize(
    "code",
    [
        "import runtime.cli",
        "import runtime.cli; runtime.cli.run(['--help'])",
        "import runtime.cli; runtime.cli.run(['chat', '--help'])",
        "import runtime.cli; runtime.cli.run(['--version'])",
        "import runtime.__main__; sys.argv = ['chat', '--version']; runtime.__main__.main()",
        "import runtime.cli; runtime.cli.run(['info'])",
    ],
)
def test_help_and_version_load_nothing_heavy(code: str) -> None:
    script = f"import sys; {code}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "[]" == done.stdout.splitlines()[-1]


def test_version_alone_does_without_click() -> None:
    code = "import sys, runtime.__main__ as m; sys.argv[1:] = ['--version']; m.main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; assert 'click' not in sys.modules"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("modelembed ")
