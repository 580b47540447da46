"""Model file: a GGUF or a section of a bundle, opened but not yet loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file, second_models
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section
from runtime.errors import GGUFError, MemoryShortage, ModelError, UsageError
from runtime.gguf import file_magic, projector
from runtime.gguf.header import MAGIC, Header, read_header
from runtime.host import resources, user_files
from runtime.model import memory_plan
from runtime.model.projector import projector_file
from runtime.model.projector.projector_file import ProjectorFile
from runtime.options.registry import Options
from runtime.units import gigabytes
from runtime.weights import decompress
from runtime.weights.shared_original import SharedOriginal
from runtime.weights.stdio_file import opened_anew

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
    shared: SharedOriginal | None = None
    """What `decompressed_fd` is of, where it is freed while no process needs it."""
    planned: memory_plan.Plan | None = None
    """The plan of several processes that use it; None if each makes its own."""
    projector: ProjectorFile | None = None
    """What turns pictures or sound into what it takes as tokens, if there is one."""

    @property
    def compressed(self) -> bool:
        """Return whether the model must be decompressed before it can be mapped."""
        if self.decompressed_fd is not None:
            return False
        section = self.bundle.model if self.bundle else None
        return section is not None and section.codec != "stored"

    @property
    def beside(self) -> int:
        """Return the bytes that its projector and second models of its bundle take, estimated."""
        sections = second_models.sections_of(self.bundle) if self.bundle else ()
        seconds = sum(section.size + memory_plan.SECOND_MODEL for section in sections)
        return seconds + (self.projector.needed if self.projector else 0)

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

    def opened_anew(self) -> ModelFile:
        """Return the same with descriptors of this process alone, for when it can open no files.

        Raise ModelError if it cannot open them now either.
        """
        restored = self.decompressed_fd
        try:
            fd = opened_anew(self.fd)
            if restored is not None:
                restored = opened_anew(restored)
        except OSError as exc:
            raise ModelError(
                f"{self.label} cannot be opened once more: {exc.strerror}",
                hint="leave out --sleep-idle-seconds, which needs that",
            ) from exc
        bundle = self.bundle and dataclasses.replace(self.bundle, fd=fd)
        return dataclasses.replace(self, fd=fd, bundle=bundle, decompressed_fd=restored)

    def require_room(self, options: Options, context: int, spare: int) -> None:
        """Raise MemoryShortage unless it fits with a context of so many tokens, as `plan` has it.

        Of several processes' memory one alone cannot tell.
        """
        if self.planned:
            return
        found = self._plan(dataclasses.replace(options, ctx_size=context), 1, spare)
        if found.context < context:
            raise MemoryShortage(
                f"the model needs {gigabytes(found.needed)} of memory, and had more when it was "
                f"loaded first: now there is room for a context of {found.context} tokens, not of "
                f"{context}",
                hint="close other programs",
            )

    def plan(self, options: Options, spare: int = 0) -> memory_plan.Plan:
        """Return the context that fits into memory; raise MemoryShortage if none does.

        `spare` are the bytes that it may take on devices.
        """
        return self.planned or self._plan(options, 1, spare)

    def planned_for(self, options: Options, processes: int) -> ModelFile:
        """Return the same, planned for that many processes at once; raise as `plan` does.

        Each by itself would take all memory for its own, and one that replaces another later would
        find little left.
        """
        return dataclasses.replace(self, planned=self._plan(options, processes))

    def _plan(self, options: Options, processes: int, spare: int = 0) -> memory_plan.Plan:
        # Where weights are rearranged or read, and not mapped, each process has its own.
        own = options.repack or not options.mmap
        copies = processes if own else 1
        if own and processes > 1 and self.compressed:
            copies += 1  # the decompressed one, which they read
        available = resources.available_memory()
        return memory_plan.plan(
            self.header,
            copies * self.size + processes * self.beside,
            options,
            available=None if available is None else available + spare,
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


def from_section(bundle: Bundle, section: Section) -> ModelFile:
    """Return the second model in a stored section of `bundle`; raise GGUFError if it is none."""
    label = f"the {section.kind} in {bundle.path}"
    header = read_header(
        bundle.fd, section.size, label=label, offset=section.offset, hyperparameters_only=True
    )
    return ModelFile(label, bundle.fd, section.offset, section.size, header)


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


def with_projector(model: ModelFile, options: Options) -> ModelFile:
    """Return the same with a projector: the one that `options` name, else that of its bundle.

    Raise GGUFError if it does not fit the model, and AppError if it cannot be opened.
    """
    found: ProjectorFile | None = None
    if options.mmproj:
        found = projector_file.open_file(Path(options.mmproj))
    elif options.mmproj_auto and model.bundle:
        found = projector_file.from_bundle(model.bundle)
    if found:
        projector.check_fit(found.traits, found.label, model.header, model.label)
    return dataclasses.replace(model, projector=found)


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
