"""Targets: the systems that programs are made for, as data.

Uses nothing but the standard library, since the engine is built before anything is installed.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A system and processor that programs are made for."""

    system: str
    """As `sys.platform` has it there."""
    machine: str
    """As `uname -m` has it there."""
    glibc: str
    """The oldest that programs run with."""
    emulator: str
    """Program that runs those of this target elsewhere."""
    sysroot: str
    """Folder in which Debian's cross packages have the target's C library."""
    plainest: str
    """The engine's CPU variant that every processor of it can run."""

    @property
    def name(self) -> str:
        """Return the name on command lines and in manifests, such as `linux-x86_64`."""
        return f"{self.system}-{self.machine}"

    @property
    def triple(self) -> str:
        """Return what zig calls it."""
        return f"{self.machine}-{self.system}-gnu.{self.glibc}"

    @property
    def wheel_platforms(self) -> tuple[str, ...]:
        """Return the tags of wheels that run there, the newest first."""
        newest = int(self.glibc.partition(".")[2])
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, 16, -1)]
        return (*tags, f"manylinux2014_{self.machine}")

    @property
    def is_here(self) -> bool:
        """Tell whether this machine is one of it."""
        return self.name == f"{sys.platform}-{platform.machine()}"


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("linux", "x86_64", "2.28", "qemu-x86_64-static", "/usr/x86_64-linux-gnu", "x64"),
        Target(
            "linux", "aarch64", "2.28", "qemu-aarch64-static", "/usr/aarch64-linux-gnu", "armv8.0_1"
        ),
    )
}


def here() -> Target | None:
    """Return this machine's target, None where it is none of them."""
    return next((target for target in TARGETS.values() if target.is_here), None)
