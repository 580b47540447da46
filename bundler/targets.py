"""Targets: the systems that programs are made for, as data.

Uses nothing but the standard library, since the engine is built before anything is installed.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass


def machine_name() -> str:
    """Return what a target that is this machine is called."""
    return f"{sys.platform}-{platform.machine()}"


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
    cross_package: str
    """Debian's package of its C library for other machines."""
    plainest: str
    """The engine's CPU variant that every processor of it can run."""
    processors: tuple[str, ...]
    """Those of its emulator that differ in what they can do; the last can do everything."""

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
    def sysroot(self) -> str:
        """Return the folder that `cross_package` puts the C library into."""
        return f"/usr/{self.machine}-{self.system}-gnu"

    @property
    def is_here(self) -> bool:
        """Tell whether this machine is one of it."""
        return self.name == machine_name()


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            system="linux",
            machine="x86_64",
            glibc="2.28",
            emulator="qemu-x86_64-static",
            cross_package="libc6-amd64-cross",
            plainest="x64",
            processors=("qemu64", "Haswell", "max"),
        ),
        Target(
            system="linux",
            machine="aarch64",
            glibc="2.28",
            emulator="qemu-aarch64-static",
            cross_package="libc6-arm64-cross",
            plainest="armv8.0_1",
            processors=("cortex-a53", "cortex-a76", "max"),
        ),
    )
}


def here() -> Target | None:
    """Return this machine's target, None where it is none of them."""
    return next((target for target in TARGETS.values() if target.is_here), None)
