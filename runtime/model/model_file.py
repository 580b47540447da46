"""Model file: a GGUF or a section of a bundle, opened but not yet loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import GGUFError, ModelError, UsageError
from runtime.gguf import file_magic
from runtime.gguf.header import MAGIC, Header, read_header
from runtime.host import resources, user_files
from runtime.model import memory_plan
from runtime.options.registry import Options
from runtime.weights import decompress

START_BYTES, SAMPLES, SAMPLE_BYTES = 1 << 20, 64, 1 << 14


@dataclass(frozen=True)
class ModelFile:
    """The source of a model's bytes: a GGUF file, or a section of a bundle."""

    label: str
    """The model's name in messages."""
    fd: int
    offset: int
    size: int
    """Bytes of the GGUF, restored."""
    header: Header
    """Its hyperparameters; no tensors."""
    bundle: Bundle | None = None
    decompressed_fd: int | None = None
    """File descriptor of the decompressed GGUF, if it has been decompressed already."""
    planned: memory_plan.Plan | None = None
    """The plan of several processes that use it; None if each makes its own."""

    @property
    def compressed(self) -> bool:
        """Return whether the model must be decompressed before it can be mapped."""
        if self.decompressed_fd is not None:
            return False
        section = self.bundle.model if self.bundle else None
        return section is not None and section.codec != "stored"

    @property
    def quantization(self) -> str:
        """Return the type of most weights of a bundled model, empty if unknown."""
        return str(self.bundle.manifest.model.get("quantization", "")) if self.bundle else ""

    @property
    def name(self) -> str:
        """Return the model's display name: the bundle's, or that in the GGUF."""
        own = self.header.metadata.get("general.name")
        return (self.bundle.manifest.name if self.bundle else "") or str(own or self.label)

    @property
    def fingerprint(self) -> str:
        """Return an identifier of the model's content.

        For a bundle it is the SHA-256 of the model. For a file, only size, start and samples are
        hashed: reading gigabytes at every start would be worse than the risk of a collision.
        """
        if self.bundle and self.bundle.model:
            return self.bundle.model.sha256
        digest = hashlib.sha256(str(self.size).encode())
        digest.update(os.pread(self.fd, START_BYTES, self.offset))
        for number in range(SAMPLES):
            where = self.offset + number * max(self.size - SAMPLE_BYTES, 0) // SAMPLES
            digest.update(os.pread(self.fd, SAMPLE_BYTES, where))
        return f"sampled-{digest.hexdigest()}"

    def plan(self, options: Options) -> memory_plan.Plan:
        """Return the context that fits into memory; raise MemoryShortage if none does."""
        return self.planned or self._plan(options, 1)

    def planned_for(self, options: Options, processes: int) -> ModelFile:
        """Return the same, planned for that many processes at once; raise as `plan` does.

        Each by itself would take all memory for its own, and one that replaces another later would
        find little left.
        """
        return dataclasses.replace(self, planned=self._plan(options, processes))

    def _plan(self, options: Options, processes: int) -> memory_plan.Plan:
        # Where weights are rearranged or read, and not mapped, each process has its own.
        own = options.repack or not options.mmap
        copies = processes if own else 1
        if own and processes > 1 and self.compressed:
            copies += 1  # the decompressed one, which they read
        return memory_plan.plan(
            self.header,
            copies * self.size,
            options,
            available=resources.available_memory(),
            processes=processes,
        )


def from_bundle(bundle: Bundle) -> ModelFile:
    """Return the model in `bundle`; raise ModelError if it has none."""
    section = bundle.model
    if section is None:
        raise ModelError(
            f"{bundle.path} has no model in it",
            hint="pass one with -m FILE.gguf, or bundle one: modelembed bundle FILE.gguf -o OUT",
        )
    label = f"the model in {bundle.path}"
    if section.codec == "stored":
        header = read_header(
            bundle.fd, section.size, label=label, offset=section.offset, hyperparameters_only=True
        )
    else:
        header = decompress.read_gguf_header(bundle, section, label=label)
    return ModelFile(label, bundle.fd, section.offset, section.size, header, bundle)


def open_file(path: Path) -> ModelFile:
    """Return the model in a GGUF file or bundle; raise ModelError or GGUFError if none."""
    try:
        fd = user_files.open_seekable(path)
    except OSError as exc:
        raise ModelError(
            f"{path} cannot be opened: {exc.strerror}", hint="check the name after -m"
        ) from exc
    try:
        # Before the GGUF magic: a sidecar starts with its model, but has adapters as well.
        if bundle := bundle_file.find(path):
            try:
                source = from_bundle(bundle)
            except BaseException:
                bundle.close()
                raise
            os.close(fd)
            return source
        if os.pread(fd, 4, 0) == MAGIC:
            size = os.fstat(fd).st_size
            header = read_header(fd, size, label=str(path), hyperparameters_only=True)
            return ModelFile(str(path), fd, 0, size, header)
        what, cure = file_magic.identify(os.pread(fd, file_magic.FIRST_BYTES, 0))
        raise GGUFError(f"{path} is not a model: it is {what}", hint=cure)
    except IsADirectoryError:
        os.close(fd)
        raise ModelError(f"{path} is a folder", hint="name the .gguf file inside it") from None
    except BaseException:
        os.close(fd)
        raise


def choose(bundle: Bundle | None, path: Path | None, embedded: bool | None) -> ModelFile:
    """Return the model to use, in the file `path` or in `bundle`; raise UsageError if none."""
    if path and embedded:
        raise UsageError("-m and --embedded contradict each other", hint="leave out one of them")
    if path:
        return open_file(path)
    if bundle and bundle.model and embedded is not False:
        return from_bundle(bundle)
    if bundle and bundle.model:
        raise UsageError(
            "the model in this file is not to be used (--no-embedded), and no other is named",
            hint="name one with -m FILE.gguf, or leave out --no-embedded",
        )
    raise UsageError(
        "this file has no model in it" if not embedded else "there is no embedded model",
        hint="pass one with -m FILE.gguf, or make a file that has one: "
        "modelembed bundle FILE.gguf -o OUT",
    )
