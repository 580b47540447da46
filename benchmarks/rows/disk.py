"""Disk: a run must write nothing but the program that the launcher unpacks."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.machine import file_system
from benchmarks.measure import BenchmarkError, disk_writes
from benchmarks.report import Row

WORDS, TOKENS = 16, 8
IN_MEMORY = ("tmpfs", "ramfs")


def measure(lab: Lab) -> list[Row]:
    """Count what the stored and the compressed bundle write, at the first start and later."""
    if (kind := file_system(lab.work)) in IN_MEMORY:
        raise BenchmarkError(f"{lab.work} is {kind}, which never reaches a disk: choose --work")
    model = lab.model("1.1b-q4_k_m")
    rows = []
    for codec in ("none", "max"):
        bundle = lab.bundle(model, "--compress", codec)
        home = lab.work / f"home-{codec}"
        home.mkdir()
        command = lab.generate(bundle, models.prompt(WORDS), TOKENS)
        for number, target in (("first", None), ("second", 0.0)):
            writes = disk_writes(command, environment(home), cwd=home)
            left = ", ".join(str(p.relative_to(home)) for p in files(home)) or "nothing"
            rows.append(
                Row(
                    f"written to disk, {codec}, {number} run",
                    "bytes",
                    (writes.program,),
                    target=target,
                    note=f"unpacking wrote {writes.launcher / 1e6:.0f} MB; left behind: {left}",
                )
            )
    return rows


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which every usual place to write lies under `home`."""
    own = {"HOME": home, "TMPDIR": home / "tmp"}
    for name in ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"):
        own[f"XDG_{name}"] = home / name.lower()
    for folder in own.values():
        folder.mkdir(exist_ok=True)
    return {**os.environ, **{name: str(path) for name, path in own.items()}}


def files(folder: Path) -> list[Path]:
    """Return all files below `folder`."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())
