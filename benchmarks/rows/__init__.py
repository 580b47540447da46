"""One module for each promise: what is run, against what, and what must come out."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.lab import Lab
from benchmarks.report import Row
from benchmarks.rows import (
    answer,
    bundling,
    compression,
    disk,
    edit,
    encode,
    engine,
    flips,
    gpu,
    memory,
    page,
    pictures,
    prewarm,
    restore,
    retrieval,
    rpc,
    search,
    serve,
    speed,
    start,
    templates,
)

Measure = Callable[[Lab], list[Row]]

ROWS: dict[str, Measure] = {
    "start": start.measure,
    "answer": answer.measure,
    "memory": memory.measure,
    "disk": disk.measure,
    "restore": restore.measure,
    "speed": speed.measure,
    "engine": engine.measure,
    "prewarm": prewarm.measure,
    "serve": serve.measure,
    "gpu": gpu.measure,
    "rpc": rpc.measure,
    "bundling": bundling.measure,
    "compression": compression.measure,
    "encode": encode.measure,
    "edit": edit.measure,
    "flips": flips.measure,
    "page": page.measure,
    "pictures": pictures.measure,
    "search": search.measure,
    "retrieval": retrieval.measure,
    "templates": templates.measure,
}


def summary(name: str) -> str:
    """Return what the row `name` measures: the first line of its module."""
    return next(iter((_module(name).__doc__ or "").splitlines()), "")


def _module(name: str) -> object:
    return globals()[name]
