"""Emulator: a target's programs run on this machine, by qemu's user mode.

It knows processors that nobody here may have, so it proves variants that could not be tried
otherwise. It has neither seccomp nor Landlock, and its speed says nothing.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.targets import Target

SECONDS = 300
"""For one program; a tiny model takes a few."""


@dataclass(frozen=True)
class Done:
    """A finished program."""

    failure: str
    """How it failed, "" if it did not."""
    out: bytes


@dataclass(frozen=True)
class Emulator:
    """A way to run a target's programs."""

    target: Target
    program: str

    def run(self, command: Sequence[str | Path], cpu: str, libraries: Path) -> Done:
        """Run a command on the processor `cpu`, with libraries from a folder besides the system's.

        Its first word is the path of a program for the target.
        """
        emulated = [self.program, "-cpu", cpu, "-L", self.target.sysroot]
        emulated += ["-E", f"LD_LIBRARY_PATH={libraries}", *map(str, command)]
        try:
            done = subprocess.run(emulated, capture_output=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return Done(f"it took more than {SECONDS} seconds", b"")
        if done.returncode < 0:
            return Done(f"it died with {signal.Signals(-done.returncode).name}", done.stdout)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        failure = (said[-1] if said else f"exit code {done.returncode}") if done.returncode else ""
        return Done(failure, done.stdout)


def missing(target: Target) -> str:
    """Return what is missing here to run programs of `target`, "" if nothing is."""
    if not shutil.which(target.emulator):
        return f"{target.emulator} (Debian: apt-get install qemu-user-static)"
    if not list(Path(target.sysroot, "lib").glob("ld-linux*")):
        return f"{target.sysroot}/lib (Debian: apt-get install {target.cross_package})"
    return ""


def find(target: Target) -> Emulator | None:
    """Return the emulator of `target`; None where something is missing."""
    program = shutil.which(target.emulator)
    return Emulator(target, program) if program and not missing(target) else None
