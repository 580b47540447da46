"""Choosing devices: those that work, among planted backends that do not."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import planted_gpu
import pytest

from bundler.engine import toolchain
from runtime.devices import backend
from runtime.host import library_paths

LAVAPIPE = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")

FAKE = r"""
/* A backend with one device whose behaviour is a macro; the structures are ggml's own. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "ggml-backend-impl.h"

static const char *name(ggml_backend_dev_t d) { (void)d; return "Vulkan0"; }
static const char *title(ggml_backend_dev_t d) { (void)d; return "Planted " WHAT; }
static void memory(ggml_backend_dev_t d, size_t *f, size_t *t) { (void)d; *f = *t = 1ull << 33; }
static enum ggml_backend_dev_type type(ggml_backend_dev_t d) {
    (void)d; return GGML_BACKEND_DEVICE_TYPE_GPU;
}
static void props(ggml_backend_dev_t d, struct ggml_backend_dev_props *p) {
    *p = (struct ggml_backend_dev_props){.name = "Vulkan0", .description = "Planted " WHAT,
        .memory_free = 1ull << 33, .memory_total = 1ull << 33, .type = type(d)};
}
static ggml_backend_t start(ggml_backend_dev_t d, const char *p) { (void)d; (void)p; BEHAVIOUR; }
static struct ggml_backend_device device;
static struct ggml_backend_reg reg;
static const char *reg_name(ggml_backend_reg_t r) { (void)r; return "Vulkan"; }
static size_t count(ggml_backend_reg_t r) { (void)r; return 1; }
static ggml_backend_dev_t get(ggml_backend_reg_t r, size_t i) { (void)i; (void)r; return &device; }
static void *address(ggml_backend_reg_t r, const char *n) { (void)r; (void)n; return NULL; }
static ggml_backend_buffer_type_t kind(ggml_backend_dev_t d) { (void)d; BEHAVIOUR; }
static bool no(ggml_backend_dev_t d, const struct ggml_tensor *t) {
    (void)d; (void)t; return false;
}
static bool never(ggml_backend_dev_t d, ggml_backend_buffer_type_t t) {
    (void)d; (void)t; return false;
}
__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    LOADING;
    reg = (struct ggml_backend_reg){.api_version = GGML_BACKEND_API_VERSION,
        .iface = {reg_name, count, get, address}};
    device = (struct ggml_backend_device){.iface = {.get_name = name, .get_description = title,
        .get_memory = memory, .get_type = type, .get_props = props, .init_backend = start,
        .get_buffer_type = kind, .supports_op = no, .supports_buft = never}, .reg = &reg};
    return &reg;
}
"""
PLANTED = {
    # name: what it does when it is loaded, and when it is used; how that is told
    "crash": ("", "*(volatile int *)0 = 1; return NULL", "it died with SIGSEGV"),
    "abort": ("", "abort()", "it died with SIGABRT"),
    "hang": ("", "for (;;) pause(); return NULL", "it took longer than 3 seconds"),
    "deaf": (
        "",
        "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); for (;;) pause();"
        " return NULL",
        "it took longer than 3 seconds",
    ),
    "mute": ("", "return NULL", "it died with SIG"),
}
LOADED = {
    "crash_at_load": ("*(volatile int *)0 = 1", "looking for devices failed: it died with SIGSEGV"),
    "hang_at_load": ("for (;;) pause()", "looking for devices failed: it took longer than 2 secon"),
    "refused": ("return NULL", "the backend for GPUs cannot be loaded"),
}


@pytest.fixture(scope="module")
def headers() -> list[str]:
    """Return the folders with ggml's headers."""
    from bundler.engine.llama_source import source

    tree = source()
    return [f"-I{tree / name}" for name in ("ggml/src", "ggml/include")]


def plant(engine: Path, folder: Path, headers: list[str], what: str, load: str, use: str) -> Path:
    """Return a copy of `engine` with a planted backend."""
    copy = folder / what
    shutil.copytree(engine, copy, symlinks=True)
    text = copy / "backend.c"
    macros = {"WHAT": f'"{what}"', "LOADING": load or "(void)0", "BEHAVIOUR": use}
    defined = "".join(f"#define {name} {value}\n" for name, value in macros.items())
    text.write_text(defined + FAKE)
    zig = toolchain.packages([toolchain.ZIG, toolchain.LIBOMP]) / "ziglang" / "zig"
    command = [str(zig), "cc", "-shared", "-fPIC", "-w", "-fno-sanitize=undefined", *headers]
    command += ["-o", str(copy / "lib" / backend.VULKAN), str(text)]
    subprocess.run(command, check=True)
    return copy


def choose(folder: Path, home: Path, *, device: str = "", **variables: str) -> dict[str, Any]:
    """Choose in a process of its own, with device files there and short time limits."""
    code = (
        "import json, pathlib, sys, dataclasses\n"
        "from runtime.devices import presence, selection, trial\n"
        "from runtime.errors import AppError\n"
        "from runtime.model import variant_files\n"
        "from runtime.options.registry import Options\n"
        "presence.NODES = (('/dev', 'null'),)\n"
        "trial.PROBE_SECONDS = 900\n"  # on a machine that does much else
        "if sys.argv[3] == 'short':\n"
        "    trial.LIST_SECONDS, trial.PROBE_SECONDS = 2, 3\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "variant = variant_files.variants(folder / 'lib')['x64']\n"
        "options = Options(device=sys.argv[2])\n"
        "try:\n"
        "    lib, probe = folder / 'lib', folder / 'probe'\n"
        "    found = selection.choose(lib, variant, probe, options, build='b')\n"
        "    print(json.dumps({'titles': [d.title for d in found.devices],\n"
        "        'rejected': dict(found.rejected), 'problem': found.problem}))\n"
        "except AppError as exc:\n"
        "    print(json.dumps({'error': exc.problem, 'hint': exc.hint}))\n"
    )
    pace = "long" if device else "short"
    done = subprocess.run(
        [sys.executable, "-c", code, folder, device, pace],
        capture_output=True, text=True, check=True, timeout=1000,
        env={**os.environ, "XDG_CACHE_HOME": str(home), **variables},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "said": done.stderr}


@pytest.mark.parametrize("what", PLANTED)
def test_a_device_that_fails_is_left_out_named_and_remembered(
    engine: Path, headers: list[str], tmp_path: Path, what: str
) -> None:
    load, use, told = PLANTED[what]
    folder = plant(engine, tmp_path, headers, what, load, use)

    found = choose(folder, tmp_path)

    assert [] == found["titles"]
    assert found["rejected"][f"Planted {what}"].startswith(told)
    assert f"note: Planted {what} is left out: {told}" in found["said"]
    assert f"Planted {what} is left out: {told}" in found["problem"]
    (folder / "lib" / backend.VULKAN).write_text("not asked again")
    assert {**found, "said": ""} == choose(folder, tmp_path)


@pytest.mark.parametrize("what", LOADED)
def test_a_backend_that_cannot_be_loaded_is_no_obstacle(
    engine: Path, headers: list[str], tmp_path: Path, what: str
) -> None:
    load, told = LOADED[what]
    folder = plant(engine, tmp_path, headers, what, load, "return NULL")

    found = choose(folder, tmp_path)

    assert ([], {}) == (found["titles"], found["rejected"])
    assert found["problem"].startswith(told)


def test_a_library_that_ends_the_process_is_no_backend(engine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ends"
    shutil.copytree(engine, folder, symlinks=True)
    planted_gpu.compile_into(folder / "lib")

    found = choose(folder, tmp_path, PLANTED="exit:0")
    assert [] == found["titles"]
    assert "it ended the process with exit code 0" in found["problem"]


def test_what_is_remembered_is_taken_if_it_makes_sense(
    engine: Path, headers: list[str], tmp_path: Path
) -> None:
    folder = plant(engine, tmp_path, headers, "mute", "", "return NULL")
    first = choose(folder, tmp_path)
    (file,) = (tmp_path / "modelembed").glob("gpu-*.json")
    sound = file.read_text()
    (device,) = json.loads(sound)["devices"]
    for devices in (
        7, [7], [{}], [{**device, "name": 7}], [{**device, "by": "Glide"}], [{**device, "more": 1}],
        [{key: value for key, value in device.items() if key != "card"}],
    ):  # fmt: skip
        file.write_text(json.dumps({**json.loads(sound), "devices": devices}))
        assert first == choose(folder, tmp_path)
        assert json.loads(sound) == json.loads(file.read_text())
    for text in ("[" * 100_000, sound[:-1], json.dumps({**json.loads(sound), "refused": {"": 1}})):
        file.write_text(text)
        assert first == choose(folder, tmp_path)


def test_two_programs_try_a_device_once(engine: Path, headers: list[str], tmp_path: Path) -> None:
    load, use, _ = PLANTED["hang"]
    folder = plant(engine, tmp_path, headers, "hang", load, use)
    with ThreadPoolExecutor() as pool:
        both = [*pool.map(lambda _: choose(folder, tmp_path), range(2))]

    assert both[0]["rejected"] == both[1]["rejected"] == {
        "Planted hang": "it took longer than 3 seconds"
    }  # fmt: skip
    assert 1 == sum("Planted hang is left out" in one["said"] for one in both)


def test_environment_that_is_no_text_is_no_obstacle(
    engine: Path, headers: list[str], tmp_path: Path
) -> None:
    folder = plant(engine, tmp_path, headers, "mute", "", "return NULL")

    found = choose(folder, tmp_path, MESA_EXTRA=os.fsdecode(b"\xff"))
    assert "Planted mute" in found["rejected"]
    assert 1 == len([*(tmp_path / "modelembed").glob("gpu-*.json")])


def test_without_a_backend_there_is_no_gpu(engine: Path, tmp_path: Path) -> None:
    assert "this build computes on the processor alone" == choose(engine, tmp_path)["problem"]


def test_a_device_slower_than_the_processor_is_left_out_unless_asked_for(
    engine: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "slow"
    shutil.copytree(engine, folder, symlinks=True)
    planted_gpu.compile_into(folder / "lib")

    found = choose(folder, tmp_path, PLANTED="slow:0")
    assert [] == found["titles"]
    why = found["rejected"]["Planted"]
    assert "times as long as the processor; --device Vulkan0 uses it nevertheless" in why
    assert why in found["said"]
    assert ["Planted"] == choose(folder, tmp_path, device="Vulkan0", PLANTED="slow:0")["titles"]


@pytest.mark.skipif(not LAVAPIPE.exists(), reason="Mesa's lavapipe is not here")
def test_a_program_that_stands_for_a_gpu_is_used_if_asked_for(engine: Path, tmp_path: Path) -> None:
    library = library_paths.library_folder() / backend.VULKAN
    if not library.exists():
        pytest.skip("the installed engine has no backend for GPUs")
    folder = tmp_path / "real"
    shutil.copytree(engine, folder, symlinks=True)
    (folder / "lib" / backend.VULKAN).symlink_to(library)
    drivers = {"VK_ICD_FILENAMES": str(LAVAPIPE), "VK_DRIVER_FILES": str(LAVAPIPE)}
    drivers["MESA_SHADER_CACHE_DIR"] = str(tmp_path / "compiled")  # which takes a minute

    assert "no GPU has a Vulkan driver" == choose(folder, tmp_path, **drivers)["problem"]
    unknown = choose(folder, tmp_path, device="Voodoo", **drivers)
    assert "there is no device 'Voodoo'" == unknown["error"]
    assert "the devices: Vulkan0 (llvmpipe" in unknown["hint"]
    assert "trying" not in unknown["said"]
    found = choose(folder, tmp_path, device="llvmpipe", **drivers)
    assert (1, "") == (len(found["titles"]), found["problem"])
    assert found["titles"][0].startswith("llvmpipe")

    reference = folder / "probe" / "probe.logits"
    reference.write_bytes(reference.read_bytes()[:-4] + struct.pack("<f", 1e3))
    rejected = choose(folder, tmp_path / "anew", device="llvmpipe", **drivers)["rejected"]
    assert ["its logits are off by 1e+03"] == list(rejected.values())
