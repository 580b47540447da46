"""Flips: every single flipped bit is found by `verify`, and none ever reaches the model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError
from benchmarks.report import Row
from bundler.model import lint
from bundler.packing import bundle as bundling
from runtime.commands.bundles import verify_extract
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.container.layout import FOOTER_SIZE, Manifest
from runtime.container.writer import Stub, write_bundle
from runtime.errors import AppError
from runtime.weights import decompress
from tests.support.ggufs import Shape, write_model

SHAPE = Shape(feed_forward=1024, layers=2, vocabulary=1024)  # 1.4 MB of 2
SECONDS = 60.0  # for the bits of each payload; all 16 million would take a day
SMALL_SECONDS = 2.0


def measure(lab: Lab) -> list[Row]:
    """Flip all bits of manifest and footer, and of the payload as many as there is time for."""
    model = write_model(lab.work / "tiny.gguf", shape=SHAPE)
    stub = lab.work / "tiny-stub"  # the runtime's hashes are not what is tested: a few bytes do
    write_stub(stub)
    rows = []
    for name, threshold in (("stored", None), ("compressed", 0.0)):
        target = lab.work / f"tiny-{name}"
        bundle_to(target, stub, model, threshold)
        with in_memory(target) as fd:
            rows += flip(fd, name, SMALL_SECONDS if lab.small else SECONDS)
    return rows


def flip(fd: int, name: str, seconds: float) -> list[Row]:
    """Flip bits of the bundle in the file `fd`, one at a time."""
    bundle = load(fd)
    try:
        section, footer = bundle.section(bundling.SECTION), bundle.footer
        original = whole_model(bundle)
    finally:
        bundle.close()
    head = [
        *bits(footer.manifest_offset, footer.manifest_length),
        *bits(footer.offset, FOOTER_SIZE),
    ]
    begin = time.perf_counter()
    if finds(fd):
        raise BenchmarkError("verify finds damage where there is none")
    count = int(seconds / (time.perf_counter() - begin))
    body = bits(section.offset, section.length)
    sample = [body[i * len(body) // count] for i in range(min(count, len(body)))]
    size = os.fstat(fd).st_size / 1e6
    note = f"{size:.1f} MB; all of manifest and footer, {len(sample):,} of {len(body):,} of payload"

    def row(what: str, caught: Callable[[int], bool], flips: Iterable[int], note: str) -> Row:
        made = [flipped(fd, bit, caught) for bit in flips]
        return Row(what, "flips", (sum(made),), (len(made),), "made", 1.0, at_least=True, note=note)

    rows = [row(f"flipped bits that verify finds, {name}", finds, [*head, *sample], note)]
    if section.codec != "stored":
        what = f"flipped bits kept from the model, {name}"
        rows.append(row(what, lambda fd: keeps_out(fd, original), sample, "of the payload"))
    return rows


def bits(offset: int, length: int) -> range:
    """Return the numbers of the bits of `length` bytes."""
    return range(8 * offset, 8 * (offset + length))


def flipped(fd: int, bit: int, caught: Callable[[int], bool]) -> bool:
    """Ask `caught` about the file while one of its bits is flipped."""
    byte = os.pread(fd, 1, bit // 8)
    os.pwrite(fd, bytes([byte[0] ^ 1 << bit % 8]), bit // 8)
    try:
        return caught(fd)
    except AppError:
        return True
    except Exception as exc:
        raise BenchmarkError(f"with bit {bit} flipped: {exc!r}") from exc
    finally:
        os.pwrite(fd, byte, bit // 8)


def finds(fd: int) -> bool:
    """Return False if `verify` finds the bundle intact; it raises AppError where it does not."""
    bundle = load(fd)
    try:
        list(verify_extract.verify(bundle))
    finally:
        bundle.close()
    return False


def keeps_out(fd: int, original: bytes) -> bool:
    """Say whether the model restored is `original`; restoring raises AppError on damage."""
    bundle = load(fd)
    try:
        return whole_model(bundle) == original
    finally:
        bundle.close()


def whole_model(bundle: Bundle) -> bytes:
    """Return the model as a start restores it: without looking at the hash of the whole."""
    section = bundle.section(bundling.SECTION)
    if section.codec == "stored":
        return os.pread(bundle.fd, section.length, section.offset)
    return b"".join(decompress.original_chunks(bundle, section))


def load(fd: int) -> Bundle:
    """Return the bundle in the file `fd`."""
    return bundle_file.load(f"/proc/self/fd/{fd}")


@contextmanager
def in_memory(path: Path) -> Iterator[int]:
    """Give a copy of a file in memory."""
    fd = os.memfd_create("bundle")
    try:
        os.write(fd, path.read_bytes())
        yield fd
    finally:
        os.close(fd)


def write_stub(path: Path) -> None:
    """Write a bundle of no parts, whose runtime is a few bytes."""
    with open(path, "xb", buffering=0) as out:
        write_bundle(out.fileno(), Stub(b"launcher", [], b"archive", {}).hashed(), [], Manifest)


def bundle_to(target: Path, stub: Path, model: Path, threshold: float | None) -> None:
    """Bundle `model` in this process, without asking the engine, which the stub lacks."""
    findings: Future[lint.EngineFindings] = Future()
    findings.set_result(lint.EngineFindings())
    found = lint.examine(lint.preflight(model))
    runtime = bundle_file.load(stub)
    try:
        recipe = bundling.Recipe(name="tiny", threshold=threshold)
        bundling.make(target, runtime, found, findings, recipe, lambda _: None)
    finally:
        runtime.close()
