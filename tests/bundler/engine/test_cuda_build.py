"""The backend for NVIDIA's GPUs: what is compiled, for what, by what; without compiling it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bundler.engine.gpus import cuda, nvidia
from bundler.engine.llama_source import source
from bundler.engine.shared_object import SharedObject
from bundler.engine.toolchain import BuildFailed
from bundler.targets import TARGETS, here


@pytest.fixture(scope="module")
def tree() -> Path:
    """Return the engine's source."""
    return source()


@pytest.mark.parametrize(
    ("text", "found"),
    [("90", ("90",)), ("90,75", ("75", "90")), (" sm_86 ,86, 120", ("86", "120"))],
)
def test_architectures_are_read(text: str, found: tuple[str, ...]) -> None:
    assert found == cuda.parse(text)


@pytest.mark.parametrize("text", ["70", "90,banana", "90a", "", ",", "75;86"])
def test_unknown_architectures_are_refused_in_plain_words(text: str) -> None:
    with pytest.raises(BuildFailed, match=r"75 \(Turing: GeForce RTX 20, T4\), 80 "):
        cuda.parse(text)


def test_the_newest_can_be_translated_for_later_ones() -> None:
    assert [
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90",
    ] == cuda._code(["75", "90"])
    # Blackwell's for ggml cannot.
    assert ["-gencode=arch=compute_120a,code=sm_120a"] == cuda._code(["120"])


def test_architectures_and_pins_make_another_backend() -> None:
    assert cuda.identity(["75"]) == cuda.identity(["75"])
    assert cuda.identity(["75"]) != cuda.identity(["75", "90"])


def test_the_units_are_those_of_cmake(tree: Path) -> None:
    found = cuda.units(tree)

    inner = [path.relative_to(tree / cuda.TREE).as_posix() for path in found]
    lists = (tree / cuda.TREE / "CMakeLists.txt").read_text()
    assert set(cuda.UNITS) == set(re.findall(r'file\(GLOB\s+\w+ "(.*\.cu)"\)', lists))
    assert "ggml_cuda_fattn_vec_instances" in lists
    vectors = {name for name in inner if "fattn-vec" in name}
    expected = {f"template-instances/fattn-vec-instance-{pair}.cu" for pair in cuda.PAIRS}
    assert expected == vectors
    assert {"ggml-cuda.cu", "fattn.cu", "template-instances/mmq-instance-q4_k.cu"} <= set(inner)
    assert len(found) == len({path.stem for path in found}), "each makes a file of its name"


def test_the_pairs_of_types_are_told_to_ggml(tree: Path) -> None:
    told = dict(flag.removeprefix("-D").split("=", 1) for flag in cuda.definitions())

    texts = "".join(path.read_text() for path in (tree / cuda.TREE).glob("fattn*.cu*"))
    assert set(re.findall(r"\bGGML_CUDA_FA_QUANTS\b", texts)) <= set(told)
    assert '"q4_0-q4_0,q8_0-q8_0,f16-f16,bf16-bf16"' == told["GGML_CUDA_FA_QUANTS"]
    assert 4 == sum(value == "1" for value in told.values())
    assert len(told) == len(cuda.TYPES) ** 2 + 1


def test_the_drivers_functions_are_those_that_are_called(tree: Path) -> None:
    texts = "".join(path.read_text() for path in (tree / cuda.TREE).rglob("*.cu*"))

    called = set(re.findall(r"\b(cu[A-Z]\w+)\(", re.sub(r"//.*", "", texts)))
    assert set(cuda.DRIVER_FUNCTIONS) == {name for name in called if not name.startswith("cuBLAS")}


def test_every_package_is_pinned_to_one_file() -> None:
    for package in nvidia.PACKAGES:
        assert re.fullmatch(r"[a-z-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}", package.requirement)
        assert package.name.startswith("nvidia-")


def test_what_is_needed_of_a_wheel_is_unpacked(tmp_path: Path) -> None:
    wheel = tmp_path / "made.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("bin/nvcc", "lib/libcudart.so.13", "lib/cmake/x.cmake", ".metadata/list"):
            archive.writestr(nvidia.ROOT + name, name)
        for name in ("licenses/License.txt", "RECORD"):
            archive.writestr(f"made-1.dist-info/{name}", name)

    nvidia._unpack(wheel, tmp_path / "to")

    found = {path.relative_to(tmp_path / "to").as_posix() for path in tmp_path.glob("to/**/*.*")}
    assert {"lib/libcudart.so.13", "License.txt"} == found
    assert (tmp_path / "to" / "bin" / "nvcc").stat().st_mode & 0o111


def compiler(folder: Path, name: str, version: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"g++": "12.2.0"}, "g++"),
        ({"g++": "16.1.0", "g++-15": "15.2.0", "g++-13": "13.3.0"}, "g++-15"),
        ({"g++": "4.8.5", "g++-9": "9.4.0"}, "g++-9"),
    ],
)
def test_a_host_compiler_that_is_supported_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, str], found: str
) -> None:
    for name, version in there.items():
        compiler(tmp_path, name, version)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert str(tmp_path / found) == cuda.host_compiler()


@pytest.mark.parametrize(
    ("there", "told"), [({}, "there is none"), ({"g++": "16.1.0"}, "g\\+\\+ is 16.1.0")]
)
def test_without_one_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, str], told: str
) -> None:
    for name, version in there.items():
        compiler(tmp_path, name, version)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BuildFailed, match=rf"needs g\+\+ 6 to 15, and {told}.*apt-get install g"):
        cuda.host_compiler()


@pytest.mark.parametrize("target", [t for t in TARGETS.values() if t.machine != "x86_64"])
def test_other_processors_are_refused(target: object, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="programs for it use GPUs by Vulkan"):
        cuda.build_cuda(target, ["90"], tmp_path, print)  # type: ignore[arg-type]


ANY = r"""
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>
extern "C" void cuMemUnmap(void);
extern "C" __attribute__((visibility("default"))) int ggml_backend_init(int number) {
    cuMemUnmap();
    auto shared = std::make_shared<int>(number);
    std::thread([shared] { *shared += 1; }).join();
    std::ostringstream text;
    text << *shared << 1.5;
    try { throw std::runtime_error(text.str()); }
    catch (const std::exception &thrown) { return std::string(thrown.what()).size(); }
}
extern "C" __attribute__((visibility("default"))) int other(void) { return 0; }
"""


@pytest.mark.skipif(
    (machine := here()) is None or machine.machine != "x86_64", reason="CUDA is for x86-64"
)
def test_what_gxx_compiled_is_linked_for_the_oldest_c_library(tmp_path: Path) -> None:
    """The linking alone: of a unit that uses g++'s library as ggml does, with empty libraries."""
    assert machine
    try:
        gxx = cuda.host_compiler()
    except BuildFailed as exc:
        pytest.skip(str(exc))
    toolkit = nvidia.Toolkit(tmp_path / "toolkit")
    (toolkit.folder / "lib").mkdir(parents=True)
    for path in toolkit.runtime:
        named = f"-Wl,-soname,{path.name}"
        subprocess.run([gxx, "-shared", named, "-o", path, "-x", "c", "/dev/null"], check=True)
    unit, made = tmp_path / "any.cpp", tmp_path / "any.o"
    unit.write_text(ANY)
    subprocess.run([gxx, "-O2", "-fPIC", "-c", "-o", made, unit], check=True)
    library, said = tmp_path / cuda.NAME, list[str]()
    (scratch := tmp_path / "scratch").mkdir()

    cuda._link(machine, gxx, toolkit, [made], library, scratch, said.append)

    found = SharedObject.parse(library.read_bytes())
    assert [] == said
    assert found.glibc <= tuple(map(int, machine.glibc.split(".")))
    assert not {name for name in found.needed if "stdc++" in name or "gcc" in name}
    assert ["$ORIGIN"] == found.folders
    command = ["nm", "-D", "--defined-only", library]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ["ggml_backend_init"] == [line.split()[-1] for line in listed.stdout.splitlines()]
    assert cuda.DRIVER in found.needed
    code = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).ggml_backend_init(41))"
    for folder, told in ((scratch, "5"), (toolkit.folder, "")):  # with a driver, and without
        loaded = subprocess.run(
            [sys.executable, "-c", code, library], capture_output=True, text=True, check=False,
            env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        )  # fmt: skip
        assert told == loaded.stdout.strip(), loaded.stderr
