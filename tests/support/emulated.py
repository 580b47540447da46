"""Programs for 64-bit ARM, compiled and run here: what only tests need of an emulator."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.engine.toolchain import Toolchain, find
from bundler.stub import emulator
from bundler.targets import TARGETS

TARGET = TARGETS["linux-aarch64"]
MISSING = emulator.missing(TARGET)

needs_emulator = pytest.mark.skipif(bool(MISSING), reason=f"{TARGET.name}: missing here: {MISSING}")
every_processor = pytest.mark.parametrize("cpu", TARGET.processors)


@dataclass(frozen=True)
class Workshop:
    """A compiler, an emulator, and a folder that is empty at first."""

    folder: Path
    toolchain: Toolchain

    def compile(self, name: str, text: str, *flags: str) -> Path:
        """Return a program, compiled from C."""
        source = self.folder / f"{name}.c"
        source.write_text(text)
        made = self.folder / name
        subprocess.run([self.toolchain.cc, *flags, "-o", made, source, "-ldl"], check=True)
        return made

    def run(self, command: Sequence[str | Path], cpu: str) -> bytes:
        """Return what a program prints on a processor; it must not fail."""
        emulation = emulator.find(TARGET)
        assert emulation is not None
        done = emulation.run(command, cpu, self.folder)
        assert "" == done.failure
        return done.out


@contextmanager
def workshop() -> Iterator[Workshop]:
    """Give a workshop for the target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "compiler").mkdir()
        yield Workshop(path, find("zig", TARGET, path / "compiler", print))
