"""The programs and models that the rows share, each made when it is first asked for."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import cache, models, peers
from benchmarks.measure import BenchmarkError, Command, Run, run
from runtime.host.resources import physical_cores

HELLO = 'print("hello")\n'
SPEC = """\
a = Analysis(["hello.py"])
EXE(PYZ(a.pure), a.scripts, a.binaries, a.datas, name="hello", strip=True, upx=False,
    cdict={"BINARY": False})  # what is not listed is stored uncompressed too
"""


class Lab:
    """An empty folder to work in, and everything that the rows measure."""

    def __init__(
        self,
        work: Path,
        *,
        rounds: int | None = None,
        threads: int | None = None,
        small: bool = False,
        stub: Path | None = None,
        repack: bool = True,
    ) -> None:
        """Use the folder `work`.

        `small` replaces all models by one of a few megabytes, `stub` is used instead of a new one.
        Without `repack`, the row `pictures` takes weights as they lie, on both sides.
        """
        self.work = work
        self._rounds = rounds
        self.threads = threads or physical_cores()
        self.small = small
        self.repack = repack
        self._stub = stub
        self._bundles: dict[tuple[str, ...], Path] = {}

    def rounds(self, usual: int) -> int:
        """Return how often to repeat: what the user asked for, else `usual`."""
        return self._rounds or usual

    def model(self, name: str) -> Path:
        """Return the model `name`, or its small stand-in."""
        return models.model("small" if self.small else name)

    @cached_property
    def modelembed(self) -> str:
        """The command that bundles: beside this Python, else on PATH."""
        here = Path(sys.executable).parent
        found = shutil.which("modelembed", path=str(here)) or shutil.which("modelembed")
        if not found:
            raise BenchmarkError("modelembed is not installed here: pip install -e .")
        return found

    @cached_property
    def stub(self) -> Path:
        """The runtime without a model."""
        if self._stub:
            return self._stub.absolute()
        path = self.work / "stub"
        run([self.modelembed, "stub", "-o", path])
        return path

    def bundle(self, model: Path, *options: str) -> Path:
        """Return an executable with `model` in it, bundled once per set of options."""
        key = (str(model), *options)
        if key not in self._bundles:
            path = self.work / f"bundle-{len(self._bundles)}"
            self.bundle_to(path, model, *options)
            self._bundles[key] = path
        return self._bundles[key]

    def bundle_to(
        self, path: Path, model: Path, *options: str, env: Mapping[str, str] | None = None
    ) -> Run:
        """Write an executable with `model` in it to `path`."""
        where: list[str | Path] = [model, "-o", path, "--stub", self.stub]
        return run([self.modelembed, "bundle", *where, "--no-check", *options], env=env)

    @cached_property
    def peers(self) -> peers.Peers:
        """llama.cpp's own programs."""
        return peers.build()

    @cached_property
    def hello(self) -> Path:
        """A PyInstaller program that prints one word, built the way our stub is."""
        version = importlib.metadata.version("pyinstaller")
        python = ".".join(map(str, sys.version_info[:3]))

        def make(draft: Path) -> None:
            folder = self.work / "hello"
            folder.mkdir()
            (folder / "hello.py").write_text(HELLO, encoding="utf-8")
            (folder / "hello.spec").write_text(SPEC, encoding="utf-8")
            run([sys.executable, "-m", "PyInstaller", "hello.spec"], cwd=folder)
            shutil.copy2(folder / "dist" / "hello", draft)

        return cache.keep(cache.folder("programs") / f"hello-{version}-{python}", make)

    def generate(self, program: Path, text: str, tokens: int, *options: str | Path) -> Command:
        """Return the command by which our `program` answers `text` with exactly `tokens`."""
        fixed = ["-p", text, "-n", str(tokens), "--temp", "0", "--ignore-eos", "-c", "512"]
        return [program, *fixed, "-t", str(self.threads), *options]

    def complete(self, model: Path, text: str, tokens: int, *options: str | Path) -> Command:
        """Return the command by which `llama-completion` does the same with the file `model`."""
        fixed = ["-p", text, "-n", str(tokens), "--temp", "0", "--ignore-eos", "-c", "512"]
        program = self.peers.completion
        return [program, "-m", model, "-no-cnv", *fixed, "-t", str(self.threads), *options]

    def reported(self, command: Command) -> dict[str, Any]:
        """Run a command of `generate`; return what the program says that the run cost."""
        path = self.work / f"report-{time.monotonic_ns()}.json"
        run([*command, "--report", path])
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        finally:
            path.unlink(missing_ok=True)
        return facts
