"""What a stub for NVIDIA's GPUs holds besides, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard
from paths import ROOT

from bundler.engine.gpus import cuda, nvidia
from bundler.engine.gpus.cuda import CudaBackend
from bundler.stub import compressed_libraries, cuda_backend, third_party
from bundler.targets import TARGETS
from runtime.devices import backend
from runtime.errors import AppError, UsageError


def test_the_runtime_looks_for_what_a_stub_holds() -> None:
    assert cuda.NAME == backend.CUDA
    assert {*nvidia.RUNTIME} == {*backend.BESIDE[backend.CUDA]}


def test_the_libraries_get_in_compressed_with_their_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    libraries = [tmp_path / name for name in (cuda.NAME, *nvidia.RUNTIME)]
    for library in libraries:
        library.write_bytes(library.name.encode() * 100_000)
    terms = tmp_path / nvidia.LICENSE
    terms.write_text("You may.\n")
    made, said = CudaBackend(libraries[0], tuple(libraries[1:]), terms), list[str]()

    entry = cuda_backend.put(made, tmp_path / "data", said.append)

    folder = tmp_path / "data" / compressed_libraries.FOLDER
    assert {f"{library.name}.zst" for library in libraries} == {p.name for p in folder.iterdir()}
    for library in libraries:
        packed = (folder / f"{library.name}.zst").read_bytes()
        assert library.read_bytes() == zstandard.decompress(packed)
        assert any(line.startswith(f"stub: {library.name}: ") for line in said)
    assert "unpacked only where there is one" in said[-1]
    assert (third_party.NVIDIA, "You may.") == (entry["name"], entry["text"])
    assert "EULA" in entry["license"]

    names = [f"{compressed_libraries.FOLDER}/{path.name}" for path in folder.iterdir()]
    assert {frozenset({third_party.NVIDIA})} == {
        frozenset(found) for found in third_party.owners(names, ROOT).values()
    }


def test_architectures_are_checked_before_anything_is_made() -> None:
    assert cuda.USUAL == cuda_backend.architectures(None)
    assert ("86",) == cuda_backend.architectures("86")
    with pytest.raises(UsageError, match="does not compile for 61; the architectures"):
        cuda_backend.architectures("61")


def test_what_cannot_be_compiled_is_told_before_anything_is_made() -> None:
    arm = TARGETS["linux-aarch64"]
    cuda_backend.require_compiler(arm, ())
    with pytest.raises(AppError, match="not for linux-aarch64; programs for it use GPUs by Vulk"):
        cuda_backend.require_compiler(arm, ("90",))
