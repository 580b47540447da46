"""Build the first stage of produced files: a static program, by zig, whose C library is musl.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

from pathlib import Path

from bundler.engine.toolchain import ZIG, compiled, packages
from bundler.targets import Target

SOURCE = Path(__file__).parents[2] / "runtime" / "first_stage"
FLAGS = (
    "-pie", "-fPIE",  # the launcher's address is fixed, and must stay free
    "-Os", "-s", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
    "-fno-sanitize=undefined", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
    "-ffunction-sections", "-Wl,--gc-sections",
)  # fmt: skip
"""The smaller the better: all of it is read at every start."""


def build_first_stage(target: Target) -> Path:
    """Return the first stage for a target; compiled now unless kept."""
    zig = str(packages([ZIG]) / "ziglang" / "zig")
    system = f"{target.machine}-{target.system}-musl"
    files = sorted(SOURCE.glob("*.[ch]"))
    words = [ZIG, target.name, *FLAGS]
    return compiled("first-stage", words, files, [zig, "cc", "-target", system, *FLAGS])
