"""Make the wheels of a release: modelembed, and one with a ready stub for each target.

    python tools/dist.py FOLDER

With them nobody needs a compiler to bundle. A wheel with a stub can be installed on any system:
there it is data, for programs that run elsewhere.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bundler.engine.libraries import libraries
from bundler.stub import builder, supply
from bundler.targets import TARGETS, Target
from runtime import __version__
from runtime.host import library_paths

ROOT = Path(__file__).resolve().parent.parent
PROJECT = """\
[build-system]
requires = ["hatchling>=1.27,<2"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
description = "Runtime of programs made by modelembed, for {target}"
requires-python = ">=3.10"
license-files = ["LICENSE"]

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""
MODULE = '''"""Runtime of programs made by modelembed, for {target}; see its file `stub`."""
'''
MOST_MEGABYTES = 100


def main() -> int:
    """Make all wheels in the folder named on the command line; return the exit status."""
    if len(sys.argv) != 2:
        print("usage: python tools/dist.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("modelembed*.whl"):
        old.unlink()
    for target in TARGETS.values():
        runtime_wheel(target, folder)
    wheel(ROOT, folder)
    for made in sorted(folder.glob("*.whl")):
        size = made.stat().st_size / 1e6
        print(f"{made}: {size:.1f} MB")
        if size > MOST_MEGABYTES:
            print(f"error: at most {MOST_MEGABYTES} MB are wanted", file=sys.stderr)
            return 1
    return 0


def runtime_wheel(target: Target, folder: Path) -> None:
    """Make the wheel with the stub for `target`, and the libraries that bundling needs there."""
    stub = builder.build(say, target=target)
    native = library_paths.library_folder() if target.is_here else libraries(target, say)
    name = supply.WHEEL.format(target.name)
    package = name.replace("-", "_")
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        code = project / package
        code.mkdir()
        (code / "__init__.py").write_text(MODULE.format(target=target.name))
        shutil.copy2(stub, code / supply.STUB)
        for needed in (library_paths.WEIGHTS, library_paths.SEARCH):
            shutil.copy2(native / needed, code)
        shutil.copy2(ROOT / "LICENSE", project)
        values = {"name": name, "package": package, "target": target.name, "version": __version__}
        (project / "pyproject.toml").write_text(PROJECT.format(**values))
        wheel(project, folder)


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def wheel(project: Path, folder: Path) -> None:
    """Make the wheel of a project."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-deps", "--wheel-dir", str(folder), str(project)], check=True)


if __name__ == "__main__":
    sys.exit(main())
