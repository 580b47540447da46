"""A CPU variant that crashes is caught before it is used, and the next best takes over."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from paths import DEMO
from program import Program

from bundler.engine import toolchain

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris.\n"

# Claims to suit every processor best, and dies of an illegal instruction when it is used.
PLANTED = """
int ggml_backend_score(void) { return 1 << 20; }
void *ggml_backend_init(void) { __builtin_trap(); }
"""


def compiler() -> list[str]:
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return [path]
    return [str(toolchain.packages([toolchain.ZIG]) / "ziglang" / "zig"), "cc"]


@pytest.fixture(scope="module")
def planted(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Return a stub with a faulty variant among the real ones."""
    folder = tmp_path_factory.mktemp("planted")
    source = folder / "planted.c"
    source.write_text(PLANTED)
    libraries = folder / "variants"
    libraries.mkdir()
    library = libraries / "libggml-cpu-planted.so"
    subprocess.run([*compiler(), "-shared", "-fPIC", "-o", library, source], check=True)
    path = folder / "stub"
    done = modelembed("stub", "--variants", str(libraries), "-o", str(path), seconds=600)
    assert done.code == 0, done.err
    return Program(path, ("-m", str(DEMO), "--temp", "0"))


@pytest.mark.slow
def test_a_faulty_variant_is_caught_named_and_remembered(
    planted: Program, clean_home: Path
) -> None:
    first = planted(FRANCE)
    assert (0, PARIS) == (first.code, first.out)
    assert "CPU variant planted does not work here (it died with SIGILL)" in first.err

    again = planted(FRANCE)
    assert (0, PARIS, "") == (again.code, again.out, again.err)


@pytest.mark.slow
def test_a_home_that_cannot_be_written_to_is_no_obstacle(planted: Program, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = planted(FRANCE, XDG_CACHE_HOME=str(blocked))

    assert (0, PARIS) == (done.code, done.out)
    assert "trying the next best" in done.err


@pytest.mark.slow
def test_a_forced_variant_is_taken_without_asking(planted: Program) -> None:
    assert planted(FRANCE, "--cpu", "x64").out == PARIS
    assert planted(FRANCE, "--cpu", "planted").code != 0
