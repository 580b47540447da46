"""A program made for CUDA, on a machine without NVIDIA's GPUs: it runs as any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from paths import DEMO
from program import Program

from bundler.engine.gpus import cuda, nvidia
from bundler.engine.toolchain import BuildFailed
from bundler.stub import builder as stubs
from bundler.stub import third_party
from bundler.targets import here
from runtime.devices import presence
from runtime.host import app_dirs

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris.\n"


def compiled() -> tuple[str, ...]:
    """Return the architectures that the backend is compiled for already, none if for none."""
    target = here()
    try:
        compiler = cuda.host_compiler()
    except BuildFailed:
        return ()
    for path in (app_dirs.cache() / "cuda").glob(f"{cuda.VERSION}-*"):
        architectures = tuple(path.name.split("-")[1:-1])
        if target and path == cuda.folder_of(target, architectures, compiler):
            return architectures
    return ()


ARCHITECTURES = compiled()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ARCHITECTURES, reason="it is there after: modelembed stub --gpu cuda"),
]


@pytest.fixture(scope="module")
def cuda_stub() -> Path:
    return stubs.build(lambda text: print(text, file=sys.stderr), architectures=ARCHITECTURES)


@pytest.fixture
def program(cuda_stub: Path, clean_home: Path) -> Program:
    return Program(cuda_stub, ("-m", str(DEMO), "--temp", "0"))


def test_it_holds_the_libraries_compressed_and_their_licence(cuda_stub: Path) -> None:
    inside = third_party.contents(cuda_stub)
    for name in (cuda.NAME, *nvidia.RUNTIME, "libggml-vulkan.so"):
        assert f"llama_cpp/lib/{name}.zst" in inside
        assert f"llama_cpp/lib/{name}" not in inside

    program = Program(cuda_stub)
    assert third_party.NVIDIA in program("licenses").out
    assert f"by CUDA (architectures {', '.join(ARCHITECTURES)})" in program("info").out


@pytest.mark.skipif(presence.possible(), reason="there may be a GPU here")
def test_without_a_gpu_nothing_of_it_is_unpacked_and_it_answers(
    program: Program, cuda_stub: Path, clean_home: Path
) -> None:
    done = program(FRANCE)
    assert (0, PARIS, "") == (done.code, done.out, done.err)

    told = Program(cuda_stub)("doctor", "-m", str(DEMO))
    assert 0 == told.code
    assert "ok    GPU          none is used: no GPU was found" in told.out
    assert "this program uses them by CUDA or Vulkan" in told.out
    assert 2 == program(FRANCE, "--device", "CUDA0").code

    beginnings = ("libcu", "libggml-cuda")
    assert [] == [p for p in clean_home.rglob("*.so*") if p.name.startswith(beginnings)]
