"""Emulated probe: CPU variants of another target, tried on processors that are emulated."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bundler.engine.libchat import INCLUDES
from bundler.engine.llama_source import source
from bundler.engine.toolchain import BuildFailed, find
from bundler.stub.emulator import Done, Emulator
from runtime.model import cpu_variants, variant_files

SOURCE = Path(__file__).with_name("probe.c")
LINKED = ("-lllama", "-lggml", "-lggml-base")


@dataclass(frozen=True)
class EmulatedProbe:
    """The program of probe.c, beside a folder of libraries."""

    program: Path
    engine: Path
    emulator: Emulator

    def score(self, variant: Path, cpu: str) -> int:
        """Return how well a variant suits a processor, 0 if it cannot be asked."""
        said = self.emulator.run([self.program, variant], cpu, self.engine).out.strip()
        return int(said) if said.isdigit() else 0

    def logits(self, variant: Path, model: Path, rows: Sequence[Sequence[int]], cpu: str) -> Done:
        """Compute the logits after each row of tokens, with what `cpu` has."""
        words = [",".join(map(str, row)) for row in rows]
        return self.emulator.run([self.program, variant, model, *words], cpu, self.engine)


@contextmanager
def built(emulator: Emulator, engine: Path, say: Callable[[str], None]) -> Iterator[EmulatedProbe]:
    """Give the program, compiled for the libraries in `engine`; raise BuildFailed if it cannot."""
    with tempfile.TemporaryDirectory(prefix="modelembed-probe-") as folder:
        scratch = Path(folder)
        compiler = find("zig", emulator.target, scratch, say).cc
        program = scratch / "probe"
        includes = [f"-I{source(say) / name}" for name in INCLUDES if "include" in name]
        command = [compiler, "-O1", "-Wall", "-Wextra", "-fno-sanitize=undefined", *includes]
        command += ["-o", str(program), str(SOURCE), f"-L{engine}", *LINKED]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(f"{SOURCE.name} could not be compiled:\n{done.stderr.strip()}")
        yield EmulatedProbe(program, engine, emulator)


def verdicts(
    emulator: Emulator, folder: Path, engine: Path, say: Callable[[str], None]
) -> dict[str, str]:
    """Return how each variant that was tried has failed, "" if not; by its name.

    Every processor tries the variant that it would choose; the last, which can do everything, all
    of them.
    """
    expected = (folder / cpu_variants.PROBE_LOGITS).read_bytes()
    model = folder / cpu_variants.PROBE_MODEL
    rows = (cpu_variants.PROBE_TOKENS[:-1], cpu_variants.PROBE_TOKENS[-1:])
    available = variant_files.variants(engine)
    found: dict[str, str] = {}
    with built(emulator, engine, say) as probe:
        for cpu in emulator.target.processors:
            scores = {name: probe.score(path, cpu) for name, path in available.items()}
            tried = sorted(filter(scores.get, scores), key=lambda name: -scores[name])
            for name in tried if cpu == emulator.target.processors[-1] else tried[:1]:
                done = probe.logits(available[name], model, rows, cpu)
                machine = emulator.target.machine
                failure = done.failure or cpu_variants.compare(expected, done.out, machine)
                found[name] = found.get(name) or (failure and f"{failure} (on {cpu})")
    return found
