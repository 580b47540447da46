"""What is compiled for a target gets its flags, and what comes out is looked at."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_toolchain import run

from bundler.engine.shared_object import SharedObject, require_portable
from bundler.engine.toolchain import ARM_FLAGS, BuildFailed, Toolchain, find
from bundler.targets import TARGETS, Target, here

FOREIGN = next(target for target in TARGETS.values() if not target.is_here)
ARM, X86 = TARGETS["linux-aarch64"], TARGETS["linux-x86_64"]
MACHINES = {ARM: "__aarch64__", X86: "__x86_64__"}

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


def compiler(target: Target, folder: Path) -> Toolchain:
    return find("zig", target, folder, print)


def library(target: Target, folder: Path, text: str, *flags: str) -> Path:
    (folder / "scratch").mkdir()
    (folder / "made").mkdir()
    source = folder / "scratch" / "library.c"
    source.write_text(text)
    made = folder / "made" / "liblibrary.so"
    cc = compiler(target, folder / "scratch").cc
    subprocess.run([cc, "-shared", "-fPIC", *flags, "-o", made, source], check=True)
    return made


def test_this_machine_is_one_target_at_most() -> None:
    assert sum(target.is_here for target in TARGETS.values()) == (here() is not None)


def test_names_and_triples() -> None:
    assert ["linux-x86_64", "linux-aarch64"] == list(TARGETS)
    assert "aarch64-linux-gnu.2.28" == ARM.triple
    assert ARM.wheel_platforms[0] == "manylinux_2_28_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(ARM.wheel_platforms)


@every_target
def test_the_compiler_makes_what_the_target_runs(target: Target, tmp_path: Path) -> None:
    text = f"#ifndef {MACHINES[target]}\n#error\n#endif\nint one(void) {{ return 1; }}"

    made = library(target, tmp_path, text, "-s")

    assert target.machine == SharedObject.parse(made.read_bytes()).machine
    require_portable(made.parent, target)


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_other_compilers_know_this_machine_alone(name: str, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=f"{name} compiles for this machine alone, zig for"):
        find(name, FOREIGN, tmp_path, print)


def test_the_command_says_it_too() -> None:
    done = run("--compiler", "gcc", "--target", FOREIGN.name)

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: gcc compiles for this machine alone")


def test_an_unknown_target_is_refused() -> None:
    done = run("--target", "beos-m68k")

    assert 2 == done.returncode
    assert "linux-aarch64" in done.stderr


FLAGS: Mapping[str, str] = {
    "-march=armv8-a": "-mcpu=generic",
    "-march=armv8.2-a+dotprod": "-mcpu=generic+v8_2a+dotprod",
    "-march=armv8.2-a+dotprod+fp16": "-mcpu=generic+v8_2a+dotprod+fullfp16",
    "-march=armv8.2-a+fp16+sve": "-mcpu=generic+v8_2a+fullfp16+sve",
    "-march=armv8.6-a+dotprod+fp16+sve+i8mm+sve2": (
        "-mcpu=generic+v8_6a+dotprod+fullfp16+sve+i8mm+sve2"
    ),
    "-march=armv9.2-a+sme": "-mcpu=generic+v9_2a+sme",
    "-O3": "-O3",
    "-DNAME=a b 'c' \"$d\"": "-DNAME=a b 'c' \"$d\"",
    "": "",
}


def test_flags_of_arm_are_put_into_zigs_words() -> None:
    script = ARM_FLAGS + "printf '%s\\n' \"$@\""
    done = subprocess.run(
        ["sh", "-c", script, "sh", *FLAGS], capture_output=True, text=True, check=True
    )

    assert list(FLAGS.values()) == done.stdout.splitlines()


@pytest.mark.parametrize(
    ("flag", "features"),
    [
        ("-march=armv8-a", ["__ARM_NEON"]),
        ("-march=armv8.2-a+dotprod+fp16", ["__ARM_FEATURE_DOTPROD"]),
        (
            "-march=armv9.2-a+dotprod+fp16+sve+i8mm+sve2+sme",
            ["__ARM_FEATURE_SVE2", "__ARM_FEATURE_SME", "__ARM_FEATURE_MATMUL_INT8",
             "__ARM_FEATURE_FP16_VECTOR_ARITHMETIC"],
        ),
    ],
)  # fmt: skip
def test_zig_takes_the_flags_of_arm(flag: str, features: list[str], tmp_path: Path) -> None:
    text = "".join(f"#ifndef {name}\n#error {name}\n#endif\n" for name in features)
    library(ARM, tmp_path, f"{text}int one(void) {{ return 1; }}", flag)


THREADS = "#include <pthread.h>\nint one(pthread_t *t) { return pthread_create(t, 0, 0, 0); }"


@every_target
def test_libraries_for_a_newer_glibc_are_refused(target: Target, tmp_path: Path) -> None:
    made = library(dataclasses.replace(target, glibc="2.34"), tmp_path, THREADS)

    with pytest.raises(BuildFailed, match=r"needs glibc 2.34; programs .* run with 2.28"):
        require_portable(made.parent, target)


def test_libraries_that_look_in_other_folders_are_refused(tmp_path: Path) -> None:
    made = library(ARM, tmp_path, THREADS, "-Wl,-rpath,/opt/lib:$ORIGIN")

    with pytest.raises(BuildFailed, match=r"library\.so looks for libraries in /opt/lib$"):
        require_portable(made.parent, ARM)


def test_libraries_of_another_processor_are_refused(tmp_path: Path) -> None:
    made = library(ARM, tmp_path, "int one(void) { return 1; }")
    with pytest.raises(BuildFailed, match="is for aarch64; it should be x86_64"):
        require_portable(made.parent, X86)


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    image = library(X86, tmp_path, "#include <stdlib.h>\nint one(void) { exit(1); }").read_bytes()
    assert "libc.so.6" in SharedObject.parse(image).needed
    assert SharedObject.parse(image).glibc
    for length in (0, 3, 40, 64, len(image) - 64):
        with pytest.raises(ValueError):
            SharedObject.parse(image[:length])
