"""A target's environment: its Python, and the distributions whose code goes into stubs.

Nothing of it is installed in the running environment, nor depends on what that is.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.engine import archives
from bundler.engine.toolchain import BuildFailed, kept, key_of
from bundler.engine.wheels import ZSTANDARD, ZSTANDARD_FLAGS
from bundler.interpreter import compiler as compilers
from bundler.interpreter import cpython, launcher
from bundler.interpreter.compiler import CC, STRIPPED, Compiler
from bundler.interpreter.cpython import Interpreter
from bundler.targets import Target
from runtime.host import app_dirs

PYINSTALLER = "pyinstaller=="
PACKER = (
    "altgraph==0.17.5", "packaging==26.4", "pyinstaller-hooks-contrib==2026.9",
    "setuptools==80.9.0",
)  # fmt: skip
"""What PyInstaller needs, which is in no stub; pinned, since its hooks decide what gets in."""
COPIED = ("llama-cpp-python", "modelembed")
"""Distributions that are taken from those installed here, since no index has them for a target."""
ENGINE = "llama_cpp"
"""The package whose Python files are the same for all targets; bundler.engine has its libraries."""
MACROS = (
    "-DZSTD_SINGLE_FILE", "-DZSTDLIB_VISIBLE=", "-DZDICTLIB_VISIBLE=", "-DZSTDERRORLIB_VISIBLE=",
    "-fvisibility=hidden", "-DNDEBUG",
)  # fmt: skip
"""As zstandard's own setup has them."""


@dataclass(frozen=True)
class Environment:
    """A Python and a folder with what it can import besides the standard library."""

    interpreter: Interpreter
    packages: Path

    @property
    def variables(self) -> Mapping[str, str]:
        """Return what must be in the environment of its programs."""
        return {
            **self.interpreter.environment,
            "PYTHONPATH": str(self.packages),
            "PYTHONNOUSERSITE": "1",
        }


def build(target: Target, requirements: Sequence[str], say: Callable[[str], None]) -> Environment:
    """Return the environment of `target` with the pinned `requirements`; made now unless kept."""
    interpreter = cpython.build(target, say)

    def make(folder: Path) -> None:
        say(f"python: fetching {len(requirements)} packages for {target.name}")
        _install([*requirements, *PACKER], target, folder)
        with tempfile.TemporaryDirectory(prefix="modelembed-packages-") as name:
            scratch = Path(name)
            compiler = compilers.prepare(target, scratch)
            _compile_zstandard(interpreter, compiler, scratch, folder, say)
            say("python: compiling PyInstaller's launcher")
            (packer,) = (line for line in requirements if line.startswith(PYINSTALLER))
            tree = _sources(packer, scratch)
            out = launcher.path_in(folder, target)
            launcher.compile_launcher(compiler, tree, out, scratch, say)
        for name in COPIED:
            _copy(importlib.metadata.distribution(name), folder)

    key = identity(target, requirements)
    folder = app_dirs.cache() / "environments" / f"{target.name}-{key}"
    return Environment(interpreter, kept(folder, make))


def identity(target: Target, requirements: Sequence[str]) -> str:
    """Return a hash of all that the environment depends on."""
    records = (importlib.metadata.distribution(name).read_text("RECORD") or "" for name in COPIED)
    words = [cpython.identity(target), *requirements, *PACKER, ZSTANDARD_FLAGS, *MACROS, *records]
    words += [*launcher.FLAGS, *launcher.LIBRARIES]
    return key_of(*words, "1")


def _install(requirements: Sequence[str], target: Target, folder: Path) -> None:
    """Install wheels that suit the target into `folder`, without their dependencies."""
    command = ["install", "--target", str(folder), "--no-deps", "--no-compile"]
    command += [f"--platform={tag}" for tag in target.wheel_platforms]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={cpython.SERIES}"]
    _pip([*command, *requirements])


def _pip(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise BuildFailed(f"pip cannot fetch what stubs contain ({[*errors, 'pip failed'][0]})")


def _sources(requirement: str, scratch: Path) -> Path:
    """Return the sources of a package of the index, unpacked in `scratch`."""
    name = requirement.partition("==")[0]
    folder = scratch / name
    _pip(["download", "--no-deps", f"--no-binary={name}", "--dest", str(folder), requirement])
    (archive,) = folder.glob("*.tar.gz")
    archives.extract(archive, folder)
    return folder / archive.name.removesuffix(".tar.gz")


def _compile_zstandard(
    interpreter: Interpreter,
    compiler: Compiler,
    scratch: Path,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Replace zstandard's extension by one compiled here, whose decoder is faster.

    Building its wheel would take a Python of the target that runs here.
    """
    say(f"python: compiling zstandard {ZSTANDARD}; usually a minute")
    tree = _sources(f"zstandard=={ZSTANDARD}", scratch)
    (extension,) = (folder / "zstandard").glob("backend_c.*.so")
    compiler.run(
        [CC, *ZSTANDARD_FLAGS.split(), *MACROS, "-shared", "-fPIC", STRIPPED,
         f"-I{interpreter.headers}", "-Izstd", "-Ic-ext", "-o", extension,
         "c-ext/backend_c.c", "-lpthread"],
        tree,
    )  # fmt: skip


def _copy(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    """Copy what pip has recorded of a distribution, and the engine's Python files."""
    for file in distribution.files or ():
        top = file.parts[0]
        if top.endswith(".dist-info") or (top == ENGINE and file.suffix == ".py"):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(str(file.locate())), path)
