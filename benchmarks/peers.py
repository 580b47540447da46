"""Build the programs to compare with from the llama.cpp tree that our engine is built from.

`llama-bench`, `llama-completion`, `llama-batched-bench` and `llama-server`, compiled as llama.cpp's
own instructions say: the default compiler, Release, tuned for this CPU. The tree is the one inside
the source distribution of the installed llama-cpp-python, hence the same commit as the engine in
the stub.

    python -m benchmarks.peers [--sdist FILE] [--jobs N]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cache
from benchmarks.measure import BenchmarkError, run

TARGETS = ("llama-bench", "llama-completion", "llama-batched-bench", "llama-server")
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DLLAMA_OPENSSL=OFF",  # downloads are no part of what is measured
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_UI=OFF",  # its page is another project, and needs node to be built
    "-DLLAMA_BUILD_APP=OFF",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",  # the folder is moved once it is whole
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
)


@dataclass(frozen=True)
class Peers:
    """Where the built programs lie and what they were built by."""

    folder: Path
    version: str
    compiler: str

    @property
    def bench(self) -> Path:
        """The program that measures prompt and generation speed."""
        return self.folder / "llama-bench"

    @property
    def batched(self) -> Path:
        """The program that measures many sequences at once."""
        return self.folder / "llama-batched-bench"

    @property
    def server(self) -> Path:
        """The program that serves."""
        return self.folder / "llama-server"

    @property
    def completion(self) -> Path:
        """The program that completes one prompt."""
        return self.folder / "llama-completion"


def engine_version() -> str:
    """Return the version of the llama-cpp-python that the stub is built from."""
    try:
        return importlib.metadata.version("llama_cpp_python")
    except importlib.metadata.PackageNotFoundError:
        raise BenchmarkError(
            "llama-cpp-python is not installed here: run the benchmarks with the project's own "
            "environment (make test sets it up)"
        ) from None


def compiler() -> tuple[str, str]:
    """Return the C compiler's command and the first line of its `--version`."""
    command = os.environ.get("CC", "cc")
    if not shutil.which(command):
        raise BenchmarkError(f"there is no C compiler '{command}': apt-get install g++")
    return command, run([command, "--version"]).out.splitlines()[0]


def cpu_model() -> str:
    """Return the CPU's name and features: a native build is good for this CPU alone."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "".join(re.findall(r"^(?:model name|flags)\s*:.*$", text, re.MULTILINE)[:2])


def build(*, sdist: Path | None = None, jobs: int | None = None) -> Peers:
    """Return the peers, built and cached under version, compiler, CPU and flags.

    `sdist` saves the download; `jobs` is the number of compilers at once (default: one a core).
    """
    version = engine_version()
    _, line = compiler()
    mark = hashlib.sha256(
        "\n".join([version, line, cpu_model(), *FLAGS, *TARGETS]).encode()
    ).hexdigest()
    target = cache.folder("peers") / f"{version}-{mark[:12]}"

    def make(draft: Path) -> None:
        print(f"building {', '.join(TARGETS)} of {version}, once (minutes) …", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=cache.folder("peers")) as name:
            work = Path(name)
            source = unpack(sdist or download(version, work), work)
            compile_tree(source, work / "build", jobs or os.cpu_count() or 1)
            shutil.copytree(work / "build" / "bin", draft, symlinks=True)

    return Peers(cache.keep(target, make), version, line)


def download(version: str, work: Path) -> Path:
    """Fetch the source distribution of llama-cpp-python with pip; return the archive."""
    wanted = f"llama-cpp-python=={version}"
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(work), wanted], check=True, stdout=sys.stderr)
    return next(work.glob("llama_cpp_python-*.tar.gz"))


def unpack(sdist: Path, work: Path) -> Path:
    """Unpack the archive into `work`; return the folder of llama.cpp."""
    with tarfile.open(sdist) as archive:
        archive.extractall(work, filter="data")
    return next(work.glob("llama_cpp_python-*/vendor/llama.cpp"))


def compile_tree(source: Path, build: Path, jobs: int) -> None:
    """Configure and compile TARGETS of `source` in `build`."""
    cmake = shutil.which("cmake")
    if not cmake:
        raise BenchmarkError("cmake is not installed: pip install cmake ninja")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    steps = (
        [cmake, "-S", str(source), "-B", str(build), *generator, *FLAGS],
        [cmake, "--build", str(build), "--parallel", str(jobs), "--target", *TARGETS],
    )
    for step in steps:
        subprocess.run(step, check=True, stdout=sys.stderr)


def main() -> None:
    """Build the peers and print where they are."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=main.__doc__)
    parser.add_argument("--sdist", type=Path, help="llama_cpp_python-*.tar.gz, already downloaded")
    parser.add_argument(
        "--jobs", type=int, default=0, help="compilers at once (default: one a core)"
    )
    options = parser.parse_args()
    try:
        print(build(sdist=options.sdist, jobs=options.jobs).folder)
    except BenchmarkError as exc:
        raise SystemExit(f"error: {exc}") from None


if __name__ == "__main__":
    main()
