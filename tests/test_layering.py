"""Imports point one way, between packages and between modules, and some doors are one module's."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for name in ("runtime", "bundler") for path in (ROOT / name).rglob("*.py"))
PER_PACKAGE = 14
AT_THE_TOP = 8

HEAVY = (
    "llama_cpp", "jinja2", "prompt_toolkit", "zstandard", "numpy", "nacl", "xxhash", "pygments",
    "starlette", "uvicorn", "msgspec", "httpx", "asyncio", "ssl",
)  # fmt: skip
SERVER_ALONE = {"starlette", "uvicorn", "h11", "msgspec", "python_multipart"}
"""Libraries that nothing but the server needs."""


def dotted(path: Path) -> str:
    """Return the name by which a file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {dotted(path) for path in MODULES}


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module and every name that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} has a relative import; a frozen program dies of it"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(path: Path) -> set[str]:
    """Return the modules of ours that a file imports."""
    found = set()
    for name in imports(path):
        if name.partition(".")[0] in ("runtime", "bundler"):
            found.add(name if name in NAMES else name.rpartition(".")[0])
    return found


def top_level(path: Path) -> set[str]:
    """Return the packages that a file imports from."""
    return {name.partition(".")[0] for name in imports(path)}


def table() -> dict[str, set[str]]:
    """Return what each package may import, as the table in CONTRIBUTING.md has it.

    A row names its packages, then what they may import: names, and `↑` for all rows above it, less
    what stands behind `not`.
    """
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows: dict[str, set[str]] = {}
    for packages, may in re.findall(r"^\| (`(?:runtime|bundler)[^|]*) \|([^|]*)\|$", text, re.M):
        given, _, denied = may.partition(" not ")
        found = {*names_in(packages), *names_in(given), *(rows if "↑" in given else ())}
        if "runtime" in found:
            found |= {f"runtime.{name}" for name in ("bounds", "errors", "sanitize", "units")}
        for name in names_in(packages):
            rows[name] = found - names_in(denied)
    return rows


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", cell))


TABLE = table()


def package_of(module: str) -> str:
    """Return the row of the table that a module belongs to: the longest name that begins it."""
    fitting = [name for name in TABLE if f"{module}.".startswith(f"{name}.")]
    assert fitting, f"{module} has no row in CONTRIBUTING.md"
    return max(fitting, key=len)


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[dotted(path) for path in paths])


def test_the_table_names_what_there_is() -> None:
    assert set().union(TABLE, *TABLE.values()) <= NAMES


@named(MODULES)
def test_a_module_imports_what_the_table_allows(path: Path) -> None:
    allowed = TABLE[package_of(dotted(path))]

    # A package as a whole, or one module of it by name.
    assert set() == {name for name in imported(path) if not {name, package_of(name)} & allowed}


def test_no_modules_import_each_other() -> None:
    graph = {dotted(path): imported(path) - {dotted(path)} for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(" → ".join(exc.args[1]))


def test_packages_stay_small() -> None:
    for folder in {path.parent for path in MODULES}:
        modules = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(modules) <= PER_PACKAGE, folder
    assert len(list((ROOT / "runtime").glob("*.py"))) <= AT_THE_TOP


@named([path for path in MODULES if path.stem == "__init__" and path.parent.parent != ROOT])
def test_a_package_says_what_it_is_for_gives_and_may_import(path: Path) -> None:
    first, _, gives, may, *_ = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")

    assert first.endswith(".")
    assert gives.startswith("Gives ")
    assert may.startswith("May import ")


@named([path for path in MODULES if dotted(path).startswith("runtime")])
def test_runtime_needs_nothing_of_build_time(path: Path) -> None:
    assert set() == top_level(path) & {"bundler", "PyInstaller", "gguf", "numpy"}


@named([path for path in MODULES if not dotted(path).startswith("runtime.server")])
def test_the_server_alone_imports_the_servers_libraries(path: Path) -> None:
    assert set() == top_level(path) & SERVER_ALONE


@named(MODULES)
def test_one_module_alone_imports_llama_cpp(path: Path) -> None:
    door = ROOT / "runtime" / "model" / "llama_api.py"
    assert ("llama_cpp" in top_level(path)) == (path == door)


SETTING_UP = (
    "engine/__main__", "engine/first_stage", "engine/libraries", "engine/libchat", "engine/librpc",
    "engine/libmtmd", "engine/compilation", "engine/llama_source",
    "engine/wheels", "engine/toolchain", "engine/shared_object", "engine/__init__", "targets",
    "engine/archives", "engine/gpus/shaders", "engine/gpus/vulkan", "engine/gpus/cuda",
    "engine/gpus/nvidia", "engine/gpus/__init__",
    "__init__",
)  # fmt: skip


@named(
    [
        *(ROOT / "bundler" / f"{name}.py" for name in SETTING_UP),
        ROOT / "runtime" / "host" / "app_dirs.py",
        ROOT / "runtime" / "host" / "__init__.py",
        ROOT / "runtime" / "__init__.py",
        ROOT / "tools" / "prerequisites.py",
    ]
)
def test_what_sets_up_needs_the_standard_library_alone(path: Path) -> None:
    assert set() == top_level(path) - sys.stdlib_module_names - {"bundler", "runtime"}
    assert imported(path) <= {
        "bundler.engine.archives",
        "bundler.engine.compilation",
        "bundler.engine.first_stage",
        "bundler.engine.libchat",
        "bundler.engine.libmtmd",
        "bundler.engine.librpc",
        "bundler.engine.libraries",
        "bundler.engine.llama_source",
        "bundler.engine.gpus.nvidia",
        "bundler.engine.gpus.shaders",
        "bundler.engine.shared_object",
        "bundler.engine.toolchain",
        "bundler.engine.gpus.vulkan",
        "bundler.engine.wheels",
        "bundler.targets",
        "runtime.host",
        "runtime.host.app_dirs",
    }


@pytest.mark.parametrize(
    "code",
    [
        "import runtime.commands.main as m",
        "import runtime.commands.main as m; m.run(['--help'])",
        "import runtime.commands.main as m; m.run(['chat', '--help'])",
        "import runtime.commands.main as m; m.run(['--version'])",
        "import runtime.__main__; sys.argv = ['chat', '--version']; runtime.__main__.main()",
        "import runtime.commands.main as m; m.run(['info'])",
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
