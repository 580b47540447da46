"""Decompress a section into memory, in parallel.

The target is a memfd, sealed when it is complete, so that nothing can change the weights any
more; where the system has none, an unlinked temporary file. Each thread takes the next chunk that
is left, so that a slow core holds nothing up: it decompresses the streams out of the mapped file,
joins them, checks the hash, and writes the result to its place, all in buffers that fit the
processor's cache.
"""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import DAMAGED, PayloadError
from runtime.gguf.header import Header, read_header_from
from runtime.host.mmap_file import MappedRange
from runtime.host.progress_bar import Progress
from runtime.weights import chunk_table, zstd_seekable
from runtime.weights.byte_planes import LAYOUTS, PLAIN, Buffer, streams_of
from runtime.weights.chunk_table import Chunk, Coded

F_ADD_SEALS = 1033
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL | SHRINK | GROW | WRITE
TICK = 0.05  # seconds between two looks at the progress, and at Ctrl-C


def to_fd(
    bundle: Bundle,
    section: Section,
    *,
    threads: int,
    memfd: bool = True,
    progress: Progress = lambda *_: None,
) -> int:
    """Return a file descriptor of the section's original: a sealed memfd, or an unlinked file.

    `memfd=False` forces the temporary file. Raise PayloadError when the section is damaged
    or there is no room for it.
    """
    table = chunk_table_of(bundle, section)  # first: no room is taken for what is damaged
    fd, sealable = _target(section.size, memfd)
    try:
        into_fd(bundle, section, fd, threads=threads, progress=progress, table=table)
        if sealable:
            _seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def original_chunks(bundle: Bundle, section: Section) -> Iterator[memoryview]:
    """Yield the section's original in pieces.

    A piece is valid until the next one is requested. Raise PayloadError on damage.
    """
    table = chunk_table_of(bundle, section)
    decoder = Decoder(map_section(bundle, section), table, section.name)
    for chunk in table:
        yield decoder.decode(chunk)


def read_gguf_header(
    bundle: Bundle, section: Section, *, label: str, hyperparameters_only: bool = True
) -> Header:
    """Read the GGUF header in a compressed section; only the chunks that hold it are decoded."""
    table = chunk_table_of(bundle, section)
    starts = [chunk.target for chunk in table]
    decoder = Decoder(map_section(bundle, section), table, section.name)
    decoded: tuple[int, memoryview] = -1, memoryview(b"")  # the last one: most reads go on in it

    def read(offset: int, length: int) -> bytes:
        nonlocal decoded
        found = b""
        while len(found) < length:
            at = offset + len(found)
            index = bisect_right(starts, at) - 1
            if decoded[0] != index:
                decoded = index, decoder.decode(table[index])
            begin = at - starts[index]
            found += decoded[1][begin : begin + length - len(found)]
        return found

    return read_header_from(
        read, section.size, label=label, hyperparameters_only=hyperparameters_only
    )


def chunk_table_of(bundle: Bundle, section: Section) -> list[Chunk]:
    """Return the chunks of a compressed section of any codec."""
    module = chunk_table if section.codec == "planes" else zstd_seekable
    end = section.offset + section.length
    tail = min(module.TAIL.size, section.length)
    length = module.table_length(os.pread(bundle.fd, tail, end - tail))
    if length > section.length:
        raise _damaged(section.name, "its table is longer than itself")
    table = os.pread(bundle.fd, length, end - length)
    if section.codec == "planes":
        return chunk_table.decode(table, section.length, section.size)
    return [
        # Frames of this codec carry a checksum of their own.
        Chunk(f.offset, f.target, f.size, PLAIN, (Coded(chunk_table.ZSTD, f.length),), b"")
        for f in zstd_seekable.decode(table, section.length, section.size)
    ]


def map_section(bundle: Bundle, section: Section) -> MappedRange:
    """Map the bytes of a section in its file; raise PayloadError if that fails."""
    try:
        return MappedRange(bundle.fd, section.offset, section.length)
    except OSError as exc:
        if exc.errno == errno.ENOMEM:  # of addresses: `ulimit -v`
            raise _no_room(section, exc) from exc
        raise _unreadable(section.name, exc) from exc


class Decoder:
    """Decodes chunks one at a time; not thread-safe."""

    def __init__(self, file: MappedRange, table: Sequence[Chunk], label: str) -> None:
        """Read from `file`, into buffers for the largest chunk of `table`.

        `label` names the section in messages.
        """
        import xxhash
        import zstandard

        size = max((chunk.size for chunk in table), default=0)
        self._file, self._label = file, label
        self._streams = Buffer(size)
        self._original = Buffer(size)
        self._zstd = zstandard.ZstdDecompressor()
        self._error = zstandard.ZstdError
        self._hash = xxhash.xxh3_128_digest

    def decode(self, chunk: Chunk, target: Buffer | None = None) -> memoryview:
        """Return the chunk's original bytes: in `target`, or valid until the next call."""
        coded = self._fetch(chunk)
        if chunk.kind != PLAIN:
            target = target or self._original
            layout = LAYOUTS[chunk.kind]
            layout.join(
                self._decoded(chunk, coded, self._streams), target, chunk.size // layout.record
            )
            original = target.view[: chunk.size]
        elif target is None and chunk.streams[0].coding == chunk_table.RAW:
            original = coded[1]
        else:
            target = target or self._original
            (address,) = self._decoded(chunk, coded, target)
            if address != target.address:
                ctypes.memmove(target.address, address, chunk.size)
            original = target.view[: chunk.size]
        if chunk.xxh3 and self._hash(original) != chunk.xxh3:
            raise _damaged(
                self._label, f"its bytes from {chunk.target:,} on are not what was written"
            )
        return original

    def _decoded(self, chunk: Chunk, coded: tuple[int, memoryview], out: Buffer) -> list[int]:
        """Return where each stream of the chunk is: decoded in `out`, or in the file itself."""
        found = []
        begin = used = 0
        for stream, whole in zip(chunk.streams, streams_of(chunk.kind, chunk.size), strict=True):
            if stream.coding == chunk_table.RAW:
                found.append(coded[0] + used)
            else:
                source = coded[1][used : used + stream.length]
                self._decompress(source, out.view[begin : begin + whole.size])
                found.append(out.address + begin)
            used += stream.length
            begin += whole.size
        return found

    def _fetch(self, chunk: Chunk) -> tuple[int, memoryview]:
        try:
            return self._file.fetch(chunk.offset, chunk.length)
        except EOFError:
            raise _damaged(self._label, "the file became shorter") from None
        except OSError as exc:
            raise _unreadable(self._label, exc) from exc

    def _decompress(self, source: memoryview, target: memoryview) -> None:
        try:
            # One pass into `target`: libzstd sees room for the whole content.
            with self._zstd.stream_reader(source) as reader:
                if reader.readinto(target) != len(target) or reader.read(1):
                    raise _damaged(self._label, "a frame has another size than it should")
        except self._error as exc:
            raise _damaged(self._label, str(exc)) from exc


def _target(size: int, memfd: bool) -> tuple[int, bool]:
    """Return a new file of `size` bytes in memory, and whether it can be sealed."""
    if memfd and hasattr(os, "memfd_create"):
        try:
            fd = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                os.ftruncate(fd, size)
            except OSError:
                os.close(fd)
                raise
            return fd, True
        except OSError:
            pass  # an old kernel, or one that forbids it: the file below serves as well
    try:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    except OSError as exc:
        raise PayloadError(
            f"there is no folder for temporary files: {exc.strerror}",
            hint="set TMPDIR to a folder that you may write to",
        ) from exc
    try:
        # Reserve the space now: running out of it later would be a SIGBUS in a mapping.
        os.posix_fallocate(fd, 0, size)
    except OSError as exc:
        os.close(fd)
        raise PayloadError(
            f"{tempfile.gettempdir()} has no room to restore the model: "
            f"{size / 1e9:.2f} GB are needed ({exc.strerror})",
            hint="free some space there, or set TMPDIR to a folder that has it",
        ) from exc
    return fd, False


def into_fd(
    bundle: Bundle,
    section: Section,
    fd: int,
    *,
    threads: int,
    progress: Progress,
    table: Sequence[Chunk] | None = None,
) -> None:
    """Decode all of a section into the file `fd`, each thread the next chunk that is left.

    `table` is the section's, if it has been read already. Raise PayloadError when the section is
    damaged or there is no room for it.
    """
    job = _DecompressionJob(
        bundle, section, chunk_table_of(bundle, section) if table is None else table, fd
    )
    job.sizes = [0] * min(threads, len(job.table))
    workers = [
        threading.Thread(target=job.run, args=(slot,), daemon=True)
        for slot in range(len(job.sizes))
    ]
    size = job.section.size
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(TICK)
                progress(job.done, size)
    except RuntimeError as exc:  # the system refuses more threads
        raise _no_room(job.section, exc) from exc
    finally:
        job.stop = True  # Ctrl-C: the file must outlive the threads that write to it
        for worker in workers:
            if worker.ident is not None:  # one that could not be started has none
                worker.join()
    if isinstance(job.failure, (MemoryError, OverflowError, OSError)):
        raise _no_room(job.section, job.failure) from job.failure
    if job.failure:
        raise job.failure
    if job.done != size:
        raise _damaged(job.section.name, "a part of it was not restored")
    progress(size, size)


class _DecompressionJob:
    """State that the threads which decompress one section share."""

    def __init__(
        self, bundle: Bundle, section: Section, table: Sequence[Chunk], target: int
    ) -> None:
        self.file = map_section(bundle, section)
        self.section = section
        self.table = table
        self.target = target
        self.stop = False
        self.failure: Exception | None = None
        self.sizes: list[int] = []  # a slot for each thread, so that they need no lock
        self._left = iter(table)  # of a tuple or list: each `next` is one step of the interpreter

    @property
    def done(self) -> int:
        """Return how many bytes are restored so far."""
        return sum(self.sizes)

    def run(self, slot: int) -> None:
        """Decode chunks while there are any; record the first failure instead of raising."""
        try:
            decoder = Decoder(self.file, self.table, self.section.name)
            for chunk in self._left:
                if self.stop:
                    return
                # Writing costs less than faulting zeroed pages of a mapping in.
                self._write(decoder.decode(chunk), chunk.target)
                self.sizes[slot] += chunk.size
        except Exception as exc:  # raised again by the thread that waits
            self.failure = self.failure or exc
            self.stop = True

    def _write(self, data: memoryview, offset: int) -> None:
        while data:
            written = os.pwrite(self.target, data, offset)
            data, offset = data[written:], offset + written


def _seal(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)


def _damaged(name: str, detail: str) -> PayloadError:
    return PayloadError(f"the compressed part '{name}' is damaged: {detail}", hint=DAMAGED)


def _unreadable(name: str, exc: OSError) -> PayloadError:
    return PayloadError(
        f"the compressed part '{name}' cannot be read: {exc.strerror}",
        hint="its disk, or the connection to it, may be failing: copy the file elsewhere",
    )


def _no_room(section: Section, exc: Exception) -> PayloadError:
    return PayloadError(
        f"there is no room to restore '{section.name}': {section.size / 1e9:.2f} GB are "
        f"needed ({exc})",
        hint="close other programs, or use a machine with more memory",
    )
