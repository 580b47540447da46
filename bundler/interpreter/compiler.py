"""The C compiler of interpreters: zig, dressed up as what configure scripts expect.

The programs are found through PATH by bare names, since what a Python was configured with is
written into it, and folders of the building machine have no place there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.engine.toolchain import ZIG, BuildFailed, packages
from bundler.targets import Target
from runtime.host import app_dirs

CC, AR, RANLIB = "zig-cc", "zig-ar", "zig-ranlib"
FLAGS = "-O3 -fno-sanitize=undefined -Wno-error=date-time"
"""zig's clang looks for undefined behaviour, and takes __DATE__ for an error, unless told."""
STRIPPED = "-s"
"""For the linker: the host's `strip` knows its own architecture alone."""

# configure scripts know -h, an old spelling that zig's linker lacks.
CC_SCRIPT = """#!/bin/sh
for argument; do
    shift
    case "$argument" in -Wl,-h*) argument="-Wl,-soname,${{argument#-Wl,-h}}" ;; esac
    set -- "$@" "$argument"
done
exec '{zig}' cc -target {triple} "$@"
"""
TOOL_SCRIPT = "#!/bin/sh\nexec '{zig}' {tool} \"$@\"\n"
NEEDED = ("make", "perl")
"""Programs that the sources are built with, besides the compiler."""


@dataclass(frozen=True)
class Compiler:
    """A compiler for one target."""

    target: Target
    folder: Path
    """Has its programs."""

    @property
    def version(self) -> str:
        """Return zig's requirement, as part of a key."""
        return ZIG

    def run(
        self,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a step of a build in `folder`; raise BuildFailed with the log's name."""
        log = app_dirs.cache() / "interpreter-build.log"
        path = f"{self.folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        # A date would make every build another one.
        fixed = {"PATH": path, "SOURCE_DATE_EPOCH": "315532800", "LC_ALL": "C"}
        with open(log, "a") as out:
            done = subprocess.run(
                [str(word) for word in command], cwd=folder, check=False, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **fixed, **(environment or {})},
            )  # fmt: skip
        if done.returncode:
            raise BuildFailed(
                f"{Path(str(command[0])).name} failed in {folder.name} with {done.returncode}; "
                f"the whole output is in {log}"
            )


def prepare(target: Target, scratch: Path) -> Compiler:
    """Return the compiler for `target`, its programs in `scratch`, which must outlive it."""
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        raise BuildFailed(
            f"{' and '.join(missing)} needed to compile Python (Debian: apt-get install "
            f"{' '.join(missing)})"
        )
    zig = packages([ZIG]) / "ziglang" / "zig"
    folder = scratch / "tools"
    folder.mkdir()
    _program(folder / CC, CC_SCRIPT.format(zig=zig, triple=target.triple))
    for name, tool in ((AR, "ar"), (RANLIB, "ranlib")):
        _program(folder / name, TOOL_SCRIPT.format(zig=zig, tool=tool))
    log = app_dirs.cache() / "interpreter-build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    return Compiler(target, folder)


def jobs() -> str:
    """Return the option that lets make use all processors."""
    return f"-j{os.cpu_count() or 1}"


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
