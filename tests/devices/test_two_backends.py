"""CUDA before Vulkan: where both reach a card, where one fails, where the driver is too old."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import planted_gpu
import pytest

from bundler.engine import toolchain
from runtime.devices import nvidia
from runtime.devices.backend import CUDA, VULKAN, Device

DRIVER = """
#include <signal.h>
#include <unistd.h>
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuInit(unsigned flags) { INIT; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
"""
DRIVERS = {
    # what it does: version, how it starts, devices; what is told
    "works": (13000, "return 0", 1, ""),
    "newer": (13020, "return 0", 2, ""),
    "old": (
        12040, "return 0", 1,
        "NVIDIA's driver knows CUDA 12.4, 13.0 is needed: install driver 580 or a newer one",
    ),
    "alone": (13000, "return 100", 1, "NVIDIA's driver has no GPU"),
    "empty": (13000, "return 0", 0, "NVIDIA's driver has no GPU"),
    "broken": (13000, "return 999", 1, "NVIDIA's driver answers with error 999"),
    "crash": (
        13000, "raise(SIGSEGV); return 0", 1,
        "asking NVIDIA's driver failed: it died with SIGSEGV",
    ),
    "hang": (
        13000, "for (;;) pause(); return 0", 1,
        "asking NVIDIA's driver failed: it took longer than 2 seconds",
    ),
}  # fmt: skip
CHOOSE = """
import json, pathlib, sys
from runtime.devices import nvidia, presence, selection, trial
from runtime.errors import AppError
from runtime.model import variant_files
from runtime.options.registry import Options
folder, nodes, device = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
presence.NODES = ((nodes, ""),)
nvidia.SECONDS = 2
variant = variant_files.variants(folder / "lib")["x64"]
options = Options(device=device, gpu_layers=-1)
try:
    found = selection.choose(folder / "lib", variant, folder / "probe", options, build="b")
    print(json.dumps({"names": [d.name for d in found.devices], "rejected": dict(found.rejected),
        "libraries": [path.name for path in found.libraries], "problem": found.problem}))
except AppError as exc:
    print(json.dumps({"error": exc.problem, "hint": exc.hint}))
"""


def compiled(source: str, target: Path, *flags: str) -> None:
    zig = toolchain.packages([toolchain.ZIG, toolchain.LIBOMP]) / "ziglang" / "zig"
    text = target.with_suffix(".c")
    text.write_text(source)
    subprocess.run([zig, "cc", "-shared", "-fPIC", *flags, "-o", target, text], check=True)


def drive(folder: Path, what: str) -> Path:
    """Return a folder with a driver that answers so."""
    version, init, count, _ = DRIVERS[what]
    (made := folder / f"driver-{what}").mkdir()
    macros = {"VERSION": version, "INIT": init, "COUNT": count}
    compiled(DRIVER, made / nvidia.DRIVER, *(f"-D{name}={text}" for name, text in macros.items()))
    return made


def plant(engine: Path, folder: Path, **cards: str) -> Path:
    """Return a copy of the engine with planted backends, each with a device of that place."""
    copy = folder / "engine"
    shutil.copytree(engine, copy, symlinks=True)
    for way, card in cards.items():
        planted_gpu.compile_into(copy / "lib", {"cuda": CUDA, "vulkan": VULKAN}[way], card)
    return copy


def choose(
    folder: Path, home: Path, driver: Path | None, *, device: str = "", node: str = "nvidia0",
    **variables: str,
) -> dict[str, Any]:  # fmt: skip
    """Choose in a process of its own, with one device file there."""
    nodes = home / "nodes"
    shutil.rmtree(nodes, ignore_errors=True)
    nodes.mkdir(parents=True)
    (nodes / node).touch()
    searched = {"LD_LIBRARY_PATH": str(driver)} if driver else {}
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE, folder, nodes, device],
        capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "XDG_CACHE_HOME": str(home), **searched, **variables},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "said": done.stderr}


@pytest.mark.parametrize("what", DRIVERS)
def test_a_driver_that_cannot_serve_is_told(tmp_path: Path, what: str) -> None:
    code = "from runtime.devices import nvidia; nvidia.SECONDS = 2; print(nvidia.problem(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(drive(tmp_path, what))},
    )  # fmt: skip

    assert DRIVERS[what][-1] == done.stdout


@pytest.mark.parametrize(
    ("mine", "others", "same"),
    [("0000:01:00.0", "0000:01:00.0", True), ("0000:01:00.0", "0000:02:00.0", False),
     ("0000:01:00.0", "", True), ("", "", True)],
)  # fmt: skip
def test_a_card_is_known_by_its_place_or_else_its_title(mine: str, others: str, same: bool) -> None:
    one = Device("CUDA0", "RTX", integrated=False, by="CUDA", card=mine)

    assert same == one.is_same_card(Device("Vulkan0", "RTX", integrated=False, card=others))
    assert not one.is_same_card(Device("Vulkan1", "Radeon", integrated=False))


def test_a_card_that_both_reach_is_used_by_cuda(engine: Path, tmp_path: Path) -> None:
    folder = plant(engine, tmp_path, cuda="0000:01:00.0", vulkan="0000:01:00.0")
    driver = drive(tmp_path, "works")

    found = choose(folder, tmp_path, driver)
    assert ["CUDA0"] == found["names"], found
    assert ([CUDA], {}, "") == (found["libraries"], found["rejected"], found["said"])

    named = choose(folder, tmp_path, driver, device="Vulkan0")
    assert (["Vulkan0"], [VULKAN]) == (named["names"], named["libraries"])
    assert ["CUDA0"] == choose(folder, tmp_path, driver, device="planted")["names"]
    both = choose(folder, tmp_path, driver, device="Vulkan0,CUDA0")
    assert (["Vulkan0", "CUDA0"], [CUDA, VULKAN]) == (both["names"], both["libraries"])
    unknown = choose(folder, tmp_path, driver, device="CUDA1")
    assert "there is no device 'CUDA1'" == unknown["error"]
    assert "the devices: CUDA0 (Planted), Vulkan0 (Planted), and none" == unknown["hint"]


def test_cards_that_one_reaches_are_used_by_it(engine: Path, tmp_path: Path) -> None:
    folder = plant(engine, tmp_path, cuda="0000:01:00.0", vulkan="0000:02:00.0")

    found = choose(folder, tmp_path, drive(tmp_path, "works"))

    assert (["CUDA0", "Vulkan0"], [CUDA, VULKAN]) == (found["names"], found["libraries"])


def test_a_card_that_fails_by_cuda_is_used_by_vulkan(engine: Path, tmp_path: Path) -> None:
    folder = plant(engine, tmp_path, cuda="0000:01:00.0", vulkan="0000:01:00.0")
    driver = drive(tmp_path, "works")

    found = choose(folder, tmp_path, driver, PLANTED_CUDA="crash:0")
    assert (["Vulkan0"], [VULKAN]) == (found["names"], found["libraries"])
    assert {"Planted by CUDA": "it died with SIGSEGV"} == found["rejected"]
    assert ["Vulkan0"] == choose(folder, tmp_path, driver, device="planted",
                                 PLANTED_CUDA="crash:0")["names"]  # fmt: skip

    found = choose(folder, tmp_path / "anew", driver, PLANTED="crash:0", PLANTED_CUDA="crash:0")
    assert ([], {"Planted by CUDA", "Planted by Vulkan"}) == (found["names"], {*found["rejected"]})


@pytest.mark.parametrize("what", ["old", "crash", "none"])
def test_without_a_driver_for_cuda_vulkan_is_used(engine: Path, tmp_path: Path, what: str) -> None:
    folder = plant(engine, tmp_path, cuda="", vulkan="")
    (folder / "lib" / CUDA).write_text("never loaded")
    driver = drive(tmp_path, what) if what in DRIVERS else None
    told = DRIVERS[what][-1] if what in DRIVERS else "there is no libcuda.so.1 of NVIDIA's driver"

    found = choose(folder, tmp_path, driver)

    assert (["Vulkan0"], [VULKAN]) == (found["names"], found["libraries"])
    assert found["rejected"]["CUDA"].startswith(told)
    assert f"note: CUDA is not used: {told}" in found["said"]
    assert {**found, "said": ""} == choose(folder, tmp_path, driver)  # remembered


def test_where_neither_works_both_reasons_are_told(engine: Path, tmp_path: Path) -> None:
    folder = plant(engine, tmp_path, cuda="")
    (folder / "lib" / VULKAN).write_text("no library")

    found = choose(folder, tmp_path, drive(tmp_path, "old"))

    assert ([], {}) == (found["names"], found["rejected"])
    assert found["problem"].startswith("CUDA: NVIDIA's driver knows CUDA 12.4")
    assert "; Vulkan: the backend for GPUs cannot be loaded" in found["problem"]


def test_without_a_device_file_of_nvidias_cuda_is_not_looked_at(
    engine: Path, tmp_path: Path
) -> None:
    folder = plant(engine, tmp_path, cuda="", vulkan="")
    (folder / "lib" / CUDA).write_text("never loaded")

    found = choose(folder, tmp_path, drive(tmp_path, "crash"), node="renderD128")

    assert (["Vulkan0"], {}, "") == (found["names"], found["rejected"], found["said"])
