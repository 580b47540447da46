"""A stub runs with the glibc that its target promises, or is not made."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from bundler.engine.toolchain import find
from bundler.stub import floor
from bundler.stub.package_file import Entry, Package
from bundler.targets import TARGETS, Target
from runtime.errors import AppError

X86, ARM = TARGETS["linux-x86_64"], TARGETS["linux-aarch64"]
OLD = 'int puts(const char *); int f(void) { return puts(""); }'
# Became part of libc itself with glibc 2.34.
THREADS = """
#include <pthread.h>
static void *run(void *given) { return given; }
int f(void) { pthread_t thread; return pthread_create(&thread, 0, run, 0); }
"""


def library(target: Target, folder: Path, text: str) -> bytes:
    folder.mkdir()
    (folder / "f.c").write_text(text)
    command = [find("zig", target, folder, print).cc, "-shared", "-fPIC", "-s"]
    subprocess.run([*command, "-o", folder / "libf.so", folder / "f.c"], check=True)
    return (folder / "libf.so").read_bytes()


def program(launcher: bytes, **files: bytes) -> bytes:
    entries = [Entry(name, b"b", data, len(data), False) for name, data in files.items()]
    return launcher + Package(entries, 313, b"libpython").pack()


def test_the_floor_is_the_newest_that_anything_inside_asks_for(tmp_path: Path) -> None:
    old = library(X86, tmp_path / "old", OLD)
    newer = library(dataclasses.replace(X86, glibc="2.34"), tmp_path / "newer", THREADS)

    assert "2.2.5" == floor.of_program(program(old, text=b"no library"), X86, held=True)
    assert "2.34" == floor.of_program(program(old, libf=newer), X86, held=False)


def test_what_asks_for_more_is_named_with_its_symbols(tmp_path: Path) -> None:
    old = library(X86, tmp_path / "old", OLD)
    newer = library(dataclasses.replace(X86, glibc="2.34"), tmp_path / "newer", THREADS)

    with pytest.raises(
        AppError, match=r"glibc 2\.28: libf asks for .*pthread_create of GLIBC_2\.34"
    ):
        floor.of_program(program(old, libf=newer), X86, held=True)


def test_a_library_for_another_processor_is_refused(tmp_path: Path) -> None:
    old = library(X86, tmp_path / "old", OLD)

    with pytest.raises(AppError, match="libf in the stub is for x86_64; it should be for aarch64"):
        floor.of_program(program(library(ARM, tmp_path / "arm", OLD), libf=old), ARM, held=True)
