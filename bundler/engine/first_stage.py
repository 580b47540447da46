"""Build the first stage of produced files: a static program, by zig, whose C library is musl.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from bundler.engine.toolchain import ZIG, BuildFailed, packages
from bundler.targets import Target
from runtime.host import app_dirs

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
    sources = sorted(SOURCE.glob("*.c"))
    content = b"".join(path.read_bytes() for path in sorted(SOURCE.glob("*.[ch]")))
    key = hashlib.sha256("\0".join([ZIG, target.name, *FLAGS]).encode() + content).hexdigest()[:16]
    kept = app_dirs.cache() / "own" / f"{key}-first-stage"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        made = kept.with_suffix(f".{os.getpid()}")
        zig = str(packages([ZIG]) / "ziglang" / "zig")
        command = [
            zig,
            "cc",
            "-target",
            f"{target.machine}-{target.system}-musl",
            *FLAGS,
            "-o",
            str(made),
        ]
        command += map(str, sources)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(f"{SOURCE} could not be compiled:\n{done.stderr.strip()}")
        made.rename(kept)
    return kept
