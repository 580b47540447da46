"""The Python of a stub: compiled for the target, or this one where that cannot be had.

It is asked in a process of its own what only it knows: the licences of what it can import, and
what of that a stub has taken.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.engine.toolchain import BuildFailed, key_of
from bundler.interpreter import environment, sources
from bundler.interpreter.environment import COPIED, Environment
from bundler.stub import retarget, third_party
from bundler.targets import Target, here
from runtime.errors import AppError
from runtime.host import app_dirs

DAY = 24 * 60 * 60  # seconds
MARKERS = ("", "extra == 'build'", 'extra == "build"')
"""Of requirements that stubs have; what older Pythons need besides, the compiled one does not."""


@dataclass(frozen=True)
class StubPython:
    """A Python that PyInstaller runs under, and the files that go into the stub."""

    target: Target
    program: str
    version: str
    native: Environment | None = None
    """What was compiled for this machine, None if `program` runs this."""
    foreign_environment: Environment | None = None
    """What was compiled for the target, where that is another."""

    @property
    def is_compiled(self) -> bool:
        """Tell whether it was compiled for the target's glibc."""
        return self.native is not None

    def environ(self, further: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of its processes."""
        return {**os.environ, **(self.native.variables if self.native else {}), **(further or {})}

    def licenses(self, root: Path) -> list[dict[str, str]]:
        """Return what third_party.licenses says there; `root` has our code."""
        found: list[dict[str, str]] = self._ask("list(third_party.licenses(Path(root)))", root)
        return found

    def foreign(self, root: Path) -> list[str]:
        """Return what third_party.foreign says there."""
        found: list[str] = self._ask("third_party.foreign()", root)
        return found

    def unlicensed(self, root: Path, program: Path) -> list[str]:
        """Return what third_party.unlicensed says there of the program that PyInstaller made."""
        code = "third_party.unlicensed(Path(program), Path(root))"
        found: list[str] = self._ask(code, root, program)
        return found

    def retargeted(self, image: bytes) -> bytes:
        """Return the program that PyInstaller made as one for the target."""
        if self.native is None or self.foreign_environment is None:
            return image
        source = self.native.interpreter.target
        return retarget.program(image, source, self.foreign_environment)

    def _ask(self, expression: str, root: Path, program: Path = Path()) -> Any:
        code = (
            "import json, sys; from pathlib import Path; root, program = sys.argv[1:]; "
            "sys.path.append(root); from bundler.stub import third_party; "
            f"print(json.dumps({expression}))"
        )
        done = subprocess.run(
            [self.program, "-c", code, str(root), str(program)],
            capture_output=True, text=True, check=False, env=self.environ(),
        )  # fmt: skip
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise AppError(
                f"the Python for stubs, {self.program}, cannot tell what it contains: {reason}",
                hint="delete that folder, and it is made again",
            )
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Plan:
    """A Python that a stub could contain, not made yet."""

    target: Target
    is_compiled: bool

    @property
    def key(self) -> str:
        """Return a hash of all that it depends on."""
        if self.is_compiled:
            return f"{self.target.name} {environment.identity(self.target, requirements())}"
        return f"{sys.version} {self.target.name} {os.fspath(sys.base_prefix)}"

    def prepared(self, say: Callable[[str], None]) -> StubPython:
        """Return that Python, compiled now unless kept; raise BuildFailed where it cannot be."""
        if not self.is_compiled:
            return StubPython(self.target, sys.executable, platform.python_version())
        machine = here()
        assert machine is not None, "there is an engine for it"
        try:
            native = environment.build(machine, requirements(), say)
            other = None
            if not self.target.is_here:
                other = environment.build(self.target, requirements(), say)
        except BuildFailed as exc:
            app_dirs.write_best_effort(self.failure, f"{exc}\n")
            raise
        program = str(native.interpreter.program)
        return StubPython(self.target, program, sources.PYTHON.version, native, other)

    @property
    def failure(self) -> Path:
        """Return the file that says why it could not be made."""
        return app_dirs.cache() / "interpreters" / f"failed-{key_of(self.key)}.txt"


def plans(target: Target, *, again: bool = False) -> Iterator[Plan]:
    """Yield what a stub for `target` could contain, the best first.

    This machine's stub can do with the Python that runs this. What has failed is not tried for a
    day, unless `again`.
    """
    best = Plan(target, is_compiled=True)
    if again or not target.is_here or not _is_fresh(best.failure):
        yield best
    if target.is_here:
        yield Plan(target, is_compiled=False)


def _is_fresh(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < DAY
    except OSError:
        return False


def requirements() -> list[str]:
    """Return the pinned requirements of ours whose code is in every stub."""
    ours = {third_party.normal(name) for name in third_party.DISTRIBUTIONS} - {*COPIED}
    found = {}
    for line in importlib.metadata.requires(third_party.OWN) or ():
        requirement, _, marker = line.partition(";")
        name = third_party.normal(re.split(r"[=<>~!\[ ]", requirement, maxsplit=1)[0])
        if name in ours and marker.strip() in MARKERS:
            found[name] = requirement.strip()
    return sorted(found.values())


def stage(root: Path, folder: Path) -> Path:
    """Copy our own code from `root`; return the folder that has nothing else.

    Where we are installed, `root` has the packages of the Python that runs this as well.
    """
    for name in ("runtime", "bundler"):
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(root / name, folder / name, ignore=ignored)
    return folder
