"""A program for one processor becomes one for another: file by file, none forgotten."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bundler.engine.shared_object import SharedObject
from bundler.engine.toolchain import BuildFailed, find
from bundler.interpreter.cpython import Interpreter
from bundler.interpreter.environment import Environment
from bundler.stub import retarget
from bundler.stub.package_file import Entry, Package
from bundler.targets import TARGETS, Target

X86, ARM = TARGETS["linux-x86_64"], TARGETS["linux-aarch64"]
TAGGED = "package/_core.cpython-313-{}-linux-gnu.so"
MODULE = "python3.13/lib-dynload/_ssl.cpython-313-{}-linux-gnu.so"
PYTHON = "libpython3.13.so.1.0"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[Target, bytes]:
    """Return a library for each processor."""
    found = {}
    for target in (X86, ARM):
        folder = tmp_path_factory.mktemp(target.name)
        (folder / "f.c").write_text("int f(void) { return 1; }")
        command = [find("zig", target, folder, print).cc, "-shared", "-fPIC", "-s"]
        subprocess.run([*command, "-o", folder / "libf.so", folder / "f.c"], check=True)
        found[target] = (folder / "libf.so").read_bytes()
    return found


@pytest.fixture
def environment(images: dict[Target, bytes], tmp_path: Path) -> Environment:
    """Return an environment of the other target."""
    interpreter = Interpreter(ARM, tmp_path / "python")
    found = Environment(interpreter, tmp_path / "packages")
    launcher = found.packages / "PyInstaller" / "bootloader" / "Linux-64bit-arm" / "run"
    extension = found.packages / TAGGED.format("aarch64")
    module = interpreter.libraries / MODULE.format("aarch64")
    for path in (launcher, extension, module, interpreter.libraries / PYTHON):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images[ARM] + path.name.encode())
    return found


def program(images: dict[Target, bytes], *names: str) -> bytes:
    entries = [Entry(name, b"b", images[X86], len(images[X86]), False) for name in names]
    data = Entry("page/data.txt", b"x", b"data", 4, False)
    return images[X86] + Package([*entries, data], 313, PYTHON.encode()).pack()


def test_every_library_is_exchanged_and_all_else_is_kept(
    images: dict[Target, bytes], environment: Environment
) -> None:
    names = (PYTHON, MODULE.format("x86_64"), TAGGED.format("x86_64"))

    made = retarget.program(program(images, *names), X86, environment)

    package = Package.parse(made)
    assert "aarch64" == SharedObject.parse(made).machine
    assert images[ARM] + b"run" == made[: len(images[ARM]) + 3]
    expected = [PYTHON, MODULE.format("aarch64"), TAGGED.format("aarch64"), "page/data.txt"]
    assert expected == [entry.name for entry in package.entries]
    for entry in package.entries[:3]:
        assert images[ARM] + entry.name.rpartition("/")[2].encode() == entry.data
    assert b"data" == package.entries[3].data


def test_a_library_that_the_target_lacks_is_named(
    images: dict[Target, bytes], environment: Environment
) -> None:
    with pytest.raises(BuildFailed, match=r"there is no libother\.so for linux-aarch64"):
        retarget.program(program(images, "libother.so"), X86, environment)


def test_a_library_for_the_target_stays(
    images: dict[Target, bytes], environment: Environment
) -> None:
    data = images[ARM]
    made = (
        images[X86] + Package([Entry("libggml.so", b"b", data, len(data), False)], 313, b"").pack()
    )

    kept = Package.parse(retarget.program(made, X86, environment)).entries[0]

    assert ("libggml.so", data) == (kept.name, kept.data)
