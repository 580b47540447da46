"""Choosing a CPU variant: the best that works, among planted ones that do not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bundler.engine import toolchain
from bundler.stub import cpu_probe
from bundler.targets import here
from runtime.errors import UsageError
from runtime.host import library_paths
from runtime.model import cpu_variants, variant_files

PLANTED = {
    # claims to be the best, and dies of an illegal instruction when it is used
    "sigill": "int ggml_backend_score(void) { return 1000000; }\n"
    "void *ggml_backend_init(void) { __builtin_trap(); }",
    # cannot even be asked
    "crash": "int ggml_backend_score(void) { *(volatile int *)0 = 1; return 1000000; }",
    # says that it does not suit this processor
    "unfit": "int ggml_backend_score(void) { return 0; }\n"
    "void *ggml_backend_init(void) { __builtin_trap(); }",
    # is refused by the engine
    "empty": "int ggml_backend_score(void) { return 900000; }\n"
    "void *ggml_backend_init(void) { return 0; }",
    # is killed from outside, as where memory runs out
    "killed": "#include <signal.h>\nint ggml_backend_score(void) { return 950000; }\n"
    "void *ggml_backend_init(void) { raise(SIGKILL); return 0; }",
    # has no score
    "mute": "int other(void) { return 0; }",
}


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize(
    ("expected", "reference", "found"),
    [
        ("", floats(1, -2, 3), floats(1, -2, 3)),
        ("", floats(1, -2, 3), floats(1.04, -2.04, 3)),
        ("its logits are off by 0.5", floats(1, -2, 3), floats(1, -1.5, 3)),
        ("its logits are off by inf", floats(1, float("inf")), floats(1, 2)),
        ("its logits are not numbers", floats(1, 2), floats(1, float("nan"))),
        ("its logits are not numbers", floats(1, 2), floats(1, float("-inf"))),
        ("it computed 0 logits, expected 2", floats(1, 2), b""),
        ("it computed 3 logits, expected 2", floats(1, 2), floats(1, 2, 3)),
        ("it computed 0 logits, expected 0", b"", b""),
    ],
)
def test_logits_are_compared(expected: str, reference: bytes, found: bytes) -> None:
    assert expected == cpu_variants.compare(reference, found)


def test_half_precision_of_arm_may_be_off_further() -> None:
    reference, found = floats(1, -2), floats(1.06, -2)

    assert "" == cpu_variants.compare(reference, found, "aarch64")
    assert "its logits are off by 0.06" == cpu_variants.compare(reference, found, "x86_64")
    assert "its logits are off by 0.5" == cpu_variants.compare(
        reference, floats(1, -1.5), "aarch64"
    )


def test_variants_are_found_by_name(tmp_path: Path) -> None:
    for name in ("libggml-cpu-x64.so", "libggml-cpu-zen4.so", "libggml-base.so", "libggml.so"):
        (tmp_path / name).write_text("")

    assert ["x64", "zen4"] == list(variant_files.variants(tmp_path))


def test_unknown_variant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "libggml-cpu-x64.so").write_text("")
    with pytest.raises(UsageError, match="there is no CPU variant 'nosuch'") as caught:
        cpu_variants.choose(tmp_path, tmp_path, force="nosuch")
    assert "the variants: x64" == caught.value.hint


def compiler() -> list[str]:
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return [path]
    return [str(toolchain.packages([toolchain.ZIG]) / "ziglang" / "zig"), "cc"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of the real libraries, the planted ones and the probe."""
    real = library_paths.library_folder()
    if (machine := here()) is None or machine.plainest not in variant_files.variants(real):
        pytest.skip("the installed engine has no variant for every processor")
    folder = tmp_path_factory.mktemp("planted")
    copies = folder / "lib"
    copies.mkdir()
    for library in real.glob("lib*.so"):
        shutil.copy2(library, copies)
    for name, code in PLANTED.items():
        source = folder / f"{name}.c"
        source.write_text(code)
        target = copies / f"libggml-cpu-{name}.so"
        subprocess.run([*compiler(), "-shared", "-fPIC", "-o", target, source], check=True)
    (copies / "libggml-cpu-killed.so").rename(folder / "libggml-cpu-killed.so")
    (copies / "libggml-cpu-garbage.so").write_text("no library at all")
    cpu_probe.write(folder / "probe", real, "test")
    return folder


def choose(
    folder: Path, home: Path, *, force: str = "", build: str = "test"
) -> tuple[dict[str, Any], str]:
    """Choose in a process of its own, which has no threads and no engine yet."""
    code = (
        "import dataclasses, json, pathlib, sys; from runtime import errors\n"
        "from runtime.model import cpu_variants\n"
        "folder, force, build = pathlib.Path(sys.argv[1]), *sys.argv[2:]\n"
        "try:\n"
        "    lib, probe = folder / 'lib', folder / 'probe'\n"
        "    found = cpu_variants.choose(lib, probe, force=force, build=build)\n"
        "    print(json.dumps({**dataclasses.asdict(found), 'path': found.path.name}))\n"
        "except errors.AppError as exc:\n"
        "    print(json.dumps({'error': exc.problem, 'code': exc.exit_code}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, force, build],
        capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "XDG_CACHE_HOME": str(home)},
    )  # fmt: skip
    choice: dict[str, Any] = json.loads(done.stdout)
    return choice, done.stderr


def best_real(choice: dict[str, Any]) -> str:
    real = {name: score for name, score in choice["scores"].items() if name not in PLANTED}
    return max(real, key=lambda name: real[name])


REJECTED = {"sigill": "it died with SIGILL", "empty": "it failed"}


def test_next_best_is_chosen_and_remembered(planted: Path, tmp_path: Path) -> None:
    choice, said = choose(planted, tmp_path)

    assert best_real(choice) == choice["name"]
    assert f"libggml-cpu-{choice['name']}.so" == choice["path"]
    assert REJECTED == choice["rejected"]
    assert (1000000, 900000, 0, 0) == tuple(
        choice["scores"].get(name, 0) for name in ("sigill", "empty", "crash", "unfit")
    )
    assert {"garbage": 0, "mute": 0}.items() <= choice["scores"].items()
    assert "note: CPU variant sigill does not work here (it died with SIGILL); trying" in said

    again, said = choose(planted, tmp_path)
    assert (choice, "") == (again, said)

    _, said = choose(planted, tmp_path, build="another")
    assert "trying the next best" in said
    assert 2 == len(list((tmp_path / "modelembed").glob("cpu-*.json")))


def plainest_of(planted: Path, folder: Path) -> Path:
    """Make a folder with the plainest variant alone, which is quickly proved."""
    (folder / "lib").mkdir(parents=True)
    for name in ("libggml-base.so", "libomp.so", "libggml-cpu-x64.so"):
        if (planted / "lib" / name).exists():
            shutil.copy2(planted / "lib" / name, folder / "lib")
    (folder / "probe").symlink_to(planted / "probe")
    return folder


def test_variant_killed_from_outside_is_tried_again_next_time(
    planted: Path, tmp_path: Path
) -> None:
    few = plainest_of(planted, tmp_path / "few")
    shutil.copy2(planted / "libggml-cpu-killed.so", few / "lib")
    choice, _ = choose(few, tmp_path)

    assert ("x64", {"killed": "it died with SIGKILL"}) == (choice["name"], choice["rejected"])
    assert "SIGKILL" in choose(few, tmp_path)[1]


@pytest.mark.parametrize(
    "memory", ["", "{", "[]", "7", '{"variant": 5}', '{"variant": "gone", "scores": {}}',
               '{"variant": "x64", "scores": [], "rejected": {}}'],
)  # fmt: skip
def test_memory_that_makes_no_sense_is_asked_anew(
    planted: Path, tmp_path: Path, memory: str
) -> None:
    few = plainest_of(planted, tmp_path / "few")
    first, _ = choose(few, tmp_path)
    (file,) = (tmp_path / "modelembed").iterdir()
    file.write_text(memory)

    assert first == choose(few, tmp_path)[0]
    assert "x64" == json.loads(file.read_text())["variant"]


def test_home_that_cannot_be_written_to_is_no_obstacle(planted: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    choice, _ = choose(planted, tmp_path / "file")

    assert best_real(choice) == choice["name"]


def test_forced_variant_is_taken_without_asking(planted: Path, tmp_path: Path) -> None:
    for name in ("x64", "sigill"):
        choice, said = choose(planted, tmp_path, force=name)
        assert (name, {}, "") == (choice["name"], choice["rejected"], said)

    assert [] == list(tmp_path.iterdir())


def test_forced_variant_that_does_not_suit_the_processor_is_told(
    planted: Path, tmp_path: Path
) -> None:
    for name in ("unfit", "crash"):
        told = choose(planted, tmp_path, force=name)[0]["error"]
        assert f"the CPU variant '{name}' cannot be used: this processor (" in told
        assert told.endswith(") lacks what it needs")


def test_no_variant_that_works_is_told(planted: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    (bad / "lib").mkdir(parents=True)
    for name in ("sigill", "crash", "unfit"):
        shutil.copy2(planted / "lib" / f"libggml-cpu-{name}.so", bad / "lib")
    (bad / "probe").symlink_to(planted / "probe")
    choice, _ = choose(bad, tmp_path)

    assert "none of the CPU variants works on this processor" in choice["error"]
    assert 1 == choice["code"]  # nothing is wrong with the command line: a fallback may answer
    assert not (tmp_path / "modelembed").exists()


def test_plainest_variant_computes_the_probe_as_recorded(planted: Path) -> None:
    expected = (planted / "probe" / cpu_variants.PROBE_LOGITS).read_bytes()

    assert 2 * cpu_probe.VOCABULARY * 4 == len(expected)
    assert "" == cpu_variants.compare(expected, expected)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these variants are for x86-64")
def test_every_variant_of_the_engine_has_a_score(planted: Path, tmp_path: Path) -> None:
    choice, _ = choose(planted, tmp_path)

    assert set(variant_files.variants(library_paths.library_folder())) <= set(choice["scores"])
    assert choice["scores"]["x64"] > 0
