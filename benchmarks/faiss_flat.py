"""FAISS's flat index, as one would put it beside a sentence-transformer: the peer of retrieval.

It runs in a process of its own, with the package in a folder of its own: faiss-cpu and the engine
bring one OpenMP each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import cache
from benchmarks.measure import run

PACKAGE, VERSION = "faiss-cpu", "1.15.1"
SEARCH = """
import sys, faiss, numpy
folder, count = sys.argv[1], int(sys.argv[2])
passages = numpy.load(f"{folder}/passages.npy")
index = faiss.IndexFlatIP(passages.shape[1])
index.add(passages)
numpy.save(f"{folder}/found.npy", index.search(numpy.load(f"{folder}/questions.npy"), count)[1])
"""

Matrix = npt.NDArray[np.float32]


def nearest(passages: Matrix, questions: Matrix, count: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the `count` nearest passages of each question, in order."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/passages.npy", passages)
        np.save(f"{folder}/questions.npy", questions)
        environment = {**os.environ, "PYTHONPATH": str(package())}
        run([sys.executable, "-c", SEARCH, folder, str(count)], env=environment)
        found: npt.NDArray[np.int64] = np.load(f"{folder}/found.npy")
    return found


def package() -> Path:
    """Return the folder of the installed package."""

    def make(draft: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--only-binary", ":all:"]
        wanted = f"{PACKAGE}=={VERSION}"
        subprocess.run([*pip, "--target", str(draft), wanted], check=True, stdout=sys.stderr)

    return cache.keep(cache.folder("peers") / f"{PACKAGE}-{VERSION}", make)
