"""An open model: its metadata, its vocabulary, its chat template."""

from __future__ import annotations

import ctypes
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import GGUFError, ModelError
from runtime.gguf import file_type
from runtime.gguf import header as gguf
from runtime.host import files, resources
from runtime.model import memory_plan
from runtime.model.llama_api import api, load_model, log
from runtime.options.registry import Options
from runtime.weights import decompress
from runtime.weights.stdio_file import File

START_BYTES, SAMPLES, SAMPLE_BYTES = 1 << 20, 64, 1 << 14


@dataclass(frozen=True)
class Source:
    """Where a model's bytes come from: a GGUF in some file, or a section of a bundle."""

    label: str
    """What to call it in messages."""
    fd: int
    offset: int
    size: int
    """Bytes of the GGUF, restored."""
    header: gguf.Header
    """Its hyperparameters; no tensors."""
    bundle: Bundle | None = None
    restored: int | None = None
    """An open file of the restored GGUF, where somebody has done that already."""

    @property
    def compressed(self) -> bool:
        """Tell whether the model must be restored before it can be mapped."""
        if self.restored is not None:
            return False
        section = self.bundle.model if self.bundle else None
        return section is not None and section.codec != "stored"

    @property
    def quantization(self) -> str:
        """Return the type of most weights of a bundled model, empty where nobody says."""
        return str(self.bundle.manifest.model.get("quantization", "")) if self.bundle else ""

    @property
    def name(self) -> str:
        """Return what the model is called, by its bundle or by itself."""
        own = self.header.metadata.get("general.name")
        return (self.bundle.manifest.name if self.bundle else "") or str(own or self.label)

    @property
    def fingerprint(self) -> str:
        """Return what tells this model from others.

        A bundle knows the hash of all its bytes. Of a file the size, the start and samples are
        hashed: to read gigabytes at every start would be worse than the risk.
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
        """Return the context that fits now; raise MemoryShortage when none does."""
        return memory_plan.plan(
            self.header,
            self.size,
            wanted=options.ctx_size,
            batch=options.batch_size,
            available=resources.available_memory(),
            fit=options.fit,
        )


def embedded(bundle: Bundle) -> Source:
    """Return the model inside `bundle`, which must have one."""
    section = bundle.model
    if section is None:
        raise ModelError(
            f"{bundle.path} has no model in it",
            hint="pass one with -m FILE.gguf, or bundle one: modelembed bundle FILE.gguf -o OUT",
        )
    label = f"the model in {bundle.path}"
    if section.codec == "stored":
        header = gguf.read(
            bundle.fd, section.size, label=label, offset=section.offset, hyperparameters_only=True
        )
    else:
        header = decompress.read_header(bundle, section, label=label)
    return Source(label, bundle.fd, section.offset, section.size, header, bundle)


def open_source(path: Path) -> Source:
    """Return the model in the file `path`: a GGUF, or another bundle's."""
    try:
        fd = files.open_seekable(path)
    except OSError as exc:
        raise ModelError(
            f"{path} cannot be opened: {exc.strerror}", hint="check the name after -m"
        ) from exc
    try:
        # First, for a sidecar begins with its model: taken for a GGUF it would lose its adapters.
        if bundle := bundle_file.find(path):
            source = embedded(bundle)
            os.close(fd)
            return source
        if os.pread(fd, 4, 0) == gguf.MAGIC:
            size = os.fstat(fd).st_size
            header = gguf.read(fd, size, label=str(path), hyperparameters_only=True)
            return Source(str(path), fd, 0, size, header)
        what, cure = file_type.identify(os.pread(fd, file_type.FIRST_BYTES, 0))
        raise GGUFError(f"{path} is not a model: it is {what}", hint=cure)
    except IsADirectoryError:
        os.close(fd)
        raise ModelError(f"{path} is a folder", hint="name the .gguf file inside it") from None
    except BaseException:
        os.close(fd)
        raise


class Model:
    """A model that the engine has loaded."""

    def __init__(self, source: Source, file: File, options: Options) -> None:
        """Load the GGUF that `file` stands at; raise ModelError with the engine's own reason."""
        self.label = source.label
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = options.gpu_layers
        parameters.use_extra_bufts = options.repack
        parameters.load_mode = (
            api.LLAMA_LOAD_MODE_AUTO if options.mmap and file.mappable else api.LLAMA_LOAD_MODE_NONE
        )
        log.recent.clear()
        self.handle = load_model(file.pointer, parameters)
        if not self.handle:
            raise ModelError(
                f"the engine cannot load {source.label}: {log.last_error() or 'no reason given'}",
                hint="run it with -v to see the engine's whole log",
            )
        self._vocab = api.llama_model_get_vocab(self.handle)
        self.vocab_size = int(api.llama_vocab_n_tokens(self._vocab))
        self.trained_context = int(api.llama_model_n_ctx_train(self.handle))
        self._pieces: dict[tuple[int, bool], bytes] = {}

    def close(self) -> None:
        """Free the model; contexts made from it must be freed before."""
        if self.handle:
            api.llama_model_free(self.handle)
            self.handle = None

    @property
    def vocabulary(self) -> ctypes.c_void_p:
        """Return the engine's handle of the vocabulary."""
        vocabulary: ctypes.c_void_p = self._vocab
        return vocabulary

    @property
    def parameters(self) -> int:
        """Return the number of weights."""
        return int(api.llama_model_n_params(self.handle))

    @property
    def chat_template(self) -> str:
        """Return the Jinja text of the model's own chat template, empty if it has none."""
        found = api.llama_model_chat_template(self.handle, None)
        return found.decode("utf-8", "replace") if found else ""

    def tokenize(self, text: str, *, beginning: bool, special: bool = True) -> list[int]:
        """Return the tokens of `text`; `beginning` adds what the model wants at the start.

        Without `special` the spelling of a control token is text like any other.
        """
        data = text.encode("utf-8", "surrogateescape")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = api.llama_tokenize(
                self._vocab, data, len(data), tokens, room, beginning, special
            )
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes that `token` stands for; with `special` those of control tokens, too."""
        key = token, special
        if key not in self._pieces:
            room = 64
            while True:
                buffer = ctypes.create_string_buffer(room)
                count = api.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
                if count >= 0:
                    self._pieces[key] = buffer.raw[:count]
                    break
                room = -count
        return self._pieces[key]

    def token_text(self, token: int) -> str:
        """Return a token's own spelling, control tokens included; empty for no token."""
        return spelling(self._vocab, token)

    @property
    def bos(self) -> str:
        """Return the spelling of the token that begins a text."""
        return self.token_text(api.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        """Return the spelling of the token that ends a text."""
        return self.token_text(api.llama_vocab_eos(self._vocab))

    @property
    def adds_bos(self) -> bool:
        """Tell whether the vocabulary itself puts the beginning token in front."""
        return bool(api.llama_vocab_get_add_bos(self._vocab))

    def ends(self, token: int) -> bool:
        """Tell whether `token` ends an answer."""
        return bool(api.llama_vocab_is_eog(self._vocab, token))

    @property
    def endings(self) -> list[int]:
        """Return the usual tokens that end an answer; to ask all of them would take too long."""
        found = {int(ask(self._vocab)) for ask in (api.llama_vocab_eos, api.llama_vocab_eot)}
        return sorted(token for token in found if token >= 0)

    @property
    def suppressed(self) -> list[int]:
        """Return the tokens that the model's file says must never be said."""
        count = ctypes.c_int32()
        found = api.llama_vocab_get_suppress_tokens(self._vocab, ctypes.byref(count))
        return list(found[: count.value])

    @property
    def rewinds(self) -> bool:
        """Tell whether a part of what the model has read can be taken back.

        Recurrent models keep one state for all that they read.
        """
        recurrent = api.llama_model_is_recurrent(self.handle)
        return not (recurrent or api.llama_model_is_hybrid(self.handle))


def spelling(vocabulary: ctypes.c_void_p, token: int) -> str:
    """Return how a vocabulary spells a token; empty for no token."""
    found = api.llama_vocab_get_text(vocabulary, token) if token >= 0 else None
    return found.decode("utf-8", "replace") if found else ""
