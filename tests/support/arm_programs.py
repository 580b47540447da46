"""Produced programs for 64-bit ARM, run here as if they were native.

The first stage starts the launcher, and that starts itself again, so an emulator in front of the
command is not enough: the kernel is told of it, within a namespace that ends with the program.
Source: the kernel's documentation, "Kernel Support for miscellaneous Binary Formats"; namespaces
have their own since Linux 6.7.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from bundler.stub import emulator
from bundler.targets import TARGETS

TARGET = TARGETS["linux-aarch64"]
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
SCRIPT = """#!/bin/sh
export QEMU_CPU={cpu} QEMU_LD_PREFIX={sysroot}
exec unshare -Urm sh -c 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf "%s" {line} > /proc/sys/fs/binfmt_misc/register
exec "$@"' sh {program} "$@"
"""


def wrapped(program: Path, cpu: str, script: Path) -> Path:
    """Write a script that runs `program` on the processor `cpu`; return its path."""
    found = shutil.which(TARGET.emulator)
    line = f'":arm:M::{MAGIC}:{MASK}:{found}:F"'.replace("\\", "\\\\")
    script.write_text(
        SCRIPT.format(cpu=cpu, sysroot=TARGET.sysroot, line=line, program=shlex.quote(str(program)))
    )
    script.chmod(0o755)
    return script


def missing() -> str:
    """Return what is missing here to run such programs, "" if nothing is."""
    if lacking := emulator.missing(TARGET):
        return lacking
    mount = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc"
    try:
        done = subprocess.run(["unshare", "-Urm", "sh", "-c", mount], capture_output=True)
    except OSError as exc:
        return f"unshare: {exc.strerror}"
    return "" if done.returncode == 0 else "a kernel that has binary formats for namespaces"
