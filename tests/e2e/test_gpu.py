"""A produced program on a GPU: Mesa's lavapipe, a program that stands for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from paths import DEMO
from program import Program

from runtime.devices import presence

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris.\n"
LAVAPIPE = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")
DRIVERS = {"VK_ICD_FILENAMES": str(LAVAPIPE), "VK_DRIVER_FILES": str(LAVAPIPE)}
SECONDS = 400

needs_lavapipe = pytest.mark.skipif(not LAVAPIPE.exists(), reason="Mesa's lavapipe is not here")


@pytest.fixture
def program(stub: Path, clean_home: Path) -> Program:
    """Return the stub with the demo model, in a home of its own."""
    return Program(stub, ("-m", str(DEMO), "--temp", "0"), DRIVERS)


def unpacked(home: Path) -> list[Path]:
    return [path for path in home.rglob("libggml-vulkan*") if path.is_file()]


@needs_lavapipe
@pytest.mark.slow
def test_the_answer_is_the_processors(program: Program, clean_home: Path) -> None:
    first = program(FRANCE, "--device", "llvmpipe", seconds=SECONDS)
    assert (0, PARIS) == (first.code, first.out)
    assert "note: GPU: llvmpipe" in first.err
    assert "by Vulkan, 5 of 5 layers" in first.err

    again = program(FRANCE, "--device", "llvmpipe", "-ngl", "2", "-v", seconds=SECONDS)
    assert (0, PARIS) == (again.code, again.out)
    assert "by Vulkan, 2 of 5 layers" in again.err
    assert "sandbox: closed to files" in again.err or not again.err.count("Landlock")

    plain = Program(program.path, environment=DRIVERS)
    told = plain("doctor", "-m", str(DEMO), "--device", "llvmpipe", seconds=SECONDS)
    assert "GPU: llvmpipe" in told.out


@pytest.mark.skipif(presence.possible(), reason="there may be a GPU here")
def test_without_a_gpu_nothing_of_it_is_unpacked_or_said(
    program: Program, clean_home: Path
) -> None:
    done = program(FRANCE)

    assert (0, PARIS, "") == (done.code, done.out, done.err)
    assert [] == unpacked(clean_home)
    for flags in (("-ngl", "0"), ("--device", "none")):
        assert "" == program(FRANCE, *flags).err


@needs_lavapipe
def test_a_device_that_is_not_there_is_told(program: Program) -> None:
    done = program(FRANCE, "--device", "Voodoo", seconds=SECONDS)

    assert 2 == done.code
    assert "there is no device 'Voodoo'" in done.err
