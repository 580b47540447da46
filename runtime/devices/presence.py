"""Presence of a GPU: whether there can be one, told in microseconds, without loading a driver."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path

NODES = (("/dev/dri", "renderD"), ("/dev", "nvidia"), ("/dev", "dxg"))
"""Folders, and how the names of device files in them begin that drivers of GPUs make."""
DRM = "/sys/class/drm"
DRIVERS = ("/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d")
"""Where the system's Vulkan loader finds out which drivers there are."""
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib")
NVIDIA = "/proc/driver/nvidia/version"
CACHES = ("mesa_shader_cache", "mesa_shader_cache_db", "mesa_shader_cache_sf", "nvidia", "AMD")
"""Folders in the user's cache that drivers keep in what they have compiled."""
CACHE_VARIABLES = (
    "MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH",
    "CUDA_CACHE_PATH",
)  # fmt: skip
VARIABLES = (
    "VK_", "GGML_VK_", "GGML_CUDA_", "CUDA_", "MESA_", "DRI_PRIME", "RADV_", "XDG_DATA_DIRS",
)  # fmt: skip
"""How the names of environment variables begin that make another device or driver of one."""


def possible() -> bool:
    """Tell whether there is a device file that a GPU's driver has made."""
    return next(nodes(), None) is not None


def nvidia() -> bool:
    """Tell whether there is one that NVIDIA's driver has made, or Windows, which may have it."""
    return any(os.path.basename(node).startswith(("nvidia", "dxg")) for node in nodes())


def nodes() -> Iterator[str]:
    """Yield the paths of the device files of GPUs."""
    for folder, beginning in NODES:
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(folder)):
                if name.startswith(beginning):
                    yield f"{folder}/{name}"


def facts() -> str:
    """Return a text that is another one when devices or their drivers are."""
    return "\n".join([os.uname().release, *nodes(), *_cards(), *_drivers(), *_variables()])


def shader_caches() -> list[str]:
    """Return the folders in which drivers keep what they have compiled; not all exist."""
    homes = {os.path.expanduser("~"): None}
    with contextlib.suppress(KeyError):  # a user whom the system does not know
        homes[pwd.getpwuid(os.getuid()).pw_dir] = None
    caches = [os.environ.get("XDG_CACHE_HOME", ""), *(f"{home}/.cache" for home in homes)]
    found = [f"{cache}/{name}" for cache in filter(None, caches) for name in CACHES]
    found += [f"{home}/.nv" for home in homes]
    return [*found, *filter(None, map(os.environ.get, CACHE_VARIABLES))]


def _cards() -> Iterator[str]:
    """Yield what the system calls its cards: numbers of vendor and model, place on the bus."""
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(DRM)):
            if name.startswith("renderD"):
                device = Path(DRM, name, "device")
                yield f"{name} {os.path.realpath(device)}"
                for detail in ("vendor", "device", "revision"):
                    yield _text(device / detail)


def _drivers() -> Iterator[str]:
    """Yield which drivers are installed, and when they were changed."""
    yield _text(Path(NVIDIA))
    for folder in (*DRIVERS, *_beside("vulkan/icd.d")):
        yield from _changes(Path(folder).glob("*.json"))
    for folder in LIBRARIES:
        for library in ("libvulkan*", "libGLX_nvidia*", "libcuda.so*"):
            for pattern in (library, f"*/{library}"):
                yield from _changes(Path(folder).glob(pattern))


def _beside(name: str) -> Iterable[str]:
    """Return folders of the user's own data."""
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return (os.path.join(home, name),)


def _changes(paths: Iterable[Path]) -> Iterator[str]:
    for path in sorted(paths):
        with contextlib.suppress(OSError):
            status = path.stat()
            yield f"{path} {status.st_size} {status.st_mtime_ns}"


def _variables() -> Iterator[str]:
    for name, value in sorted(os.environ.items()):
        if name.startswith(VARIABLES):
            yield f"{name}={value}"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
