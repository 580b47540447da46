"""Folder of a target's libraries: the engine's and ours, checked to run on its oldest systems.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bundler.engine.first_stage import build_first_stage
from bundler.engine.gpus.vulkan import build_vulkan
from bundler.engine.libchat import build_chat
from bundler.engine.libmtmd import build_media
from bundler.engine.librpc import build_rpc
from bundler.engine.shared_object import require_portable
from bundler.engine.toolchain import Toolchain, find, kept, key_of
from bundler.engine.wheels import GPU_BACKEND, OUR_OWN, STAMP, build, build_own
from bundler.targets import Target
from runtime.host import app_dirs


def libraries(target: Target, say: Callable[[str], None] = print, compiler: str = "auto") -> Path:
    """Return the folder of all libraries for `target`; compiled now unless kept.

    They find one another when they lie in one folder, wherever that is.
    """
    with tempfile.TemporaryDirectory(prefix="modelembed-engine-") as scratch:
        toolchain = find(compiler, target, Path(scratch), say)
        wheel = build(toolchain, Path(scratch), say)
        ours = build_ours(toolchain, wheel, say)

    def gather(folder: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.namelist():
                name = entry.rpartition("/")[2]
                if name.endswith(".so") or name == STAMP:
                    (folder / name).write_bytes(archive.read(entry))
        for name, path in ours.items():
            shutil.copy2(path, folder / name)
        require_portable(folder, target)

    key = key_of(wheel.parent.name, *(f"{path.parent.name}/{path.name}" for path in ours.values()))
    return kept(app_dirs.cache() / "libraries" / f"{target.name}-{key}", gather)


def build_ours(toolchain: Toolchain, wheel: Path, say: Callable[[str], None]) -> Mapping[str, Path]:
    """Return our libraries and the first stage, by their names beside those of the `wheel`."""
    vulkan = build_vulkan(toolchain, wheel, say)
    return {
        **{name: build_own(toolchain, name) for name in OUR_OWN},
        "libchat.so": build_chat(toolchain, wheel, say),
        "libggml-rpc.so": build_rpc(toolchain, wheel, say),
        "libmtmd.so": build_media(toolchain, wheel, say),
        "first-stage": build_first_stage(toolchain.target),
        **({GPU_BACKEND: vulkan} if vulkan else {}),
    }
