"""A loaded model: vocabulary, tokenization, metadata, chat template."""

from __future__ import annotations

import contextlib
import ctypes
import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runtime.errors import MediaError, ModelError
from runtime.model import offload
from runtime.model.llama_api import NO_REASON, api, load_model
from runtime.model.model_file import ModelFile
from runtime.model.offload import Offload
from runtime.options.registry import Options
from runtime.weights.stdio_file import File

if TYPE_CHECKING:  # most models take text alone
    from runtime.media.kinds import Media
    from runtime.model.projector.media_prompt import MediaPrompt
    from runtime.model.projector.projector import Projector

PORTION = 1 << 14
"""Tokens that are converted at a time: other threads run between."""
SIGN = re.compile(r"(?=.*[^\W\d_])(?=.*[^\w\s])", re.DOTALL)
"""What signs of turns have, and words or runs of spaces have not: letters, and no letters."""
LONG = 1 << 18
"""Bytes from which on texts are tokenized one after the other: that takes 40 times their size."""


class Model:
    """A `llama_model*`, owned by this object until `close`."""

    def __init__(
        self,
        source: ModelFile,
        file: File,
        options: Options,
        where: Offload = offload.NONE,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        """Load the GGUF at the position of `file`; raise ModelError with the engine's reason.

        `heard` is called now and then meanwhile.
        """
        self.label = source.label
        parameters = api.llama_model_default_params()
        kept = where.apply(parameters)
        parameters.use_extra_bufts = options.repack
        parameters.load_mode = (
            api.LLAMA_LOAD_MODE_AUTO if options.mmap and file.mappable else api.LLAMA_LOAD_MODE_NONE
        )
        self.handle, reason = load_model(file, parameters, heard)
        del kept
        if not self.handle:
            raise ModelError(
                f"the engine cannot load {source.label}: {reason or NO_REASON}",
                hint="convert or download it again; -v shows the engine's whole log",
            )
        self._vocab = api.llama_model_get_vocab(self.handle)
        self.vocab_size = int(api.llama_vocab_n_tokens(self._vocab))
        self.trained_context = int(api.llama_model_n_ctx_train(self.handle))
        # Read now, since it is told of a model that was closed, too.
        self.bos = self.token_text(api.llama_vocab_bos(self._vocab))
        """The text of the beginning-of-sequence token."""
        self.eos = self.token_text(api.llama_vocab_eos(self._vocab))
        """The text of the end-of-sequence token."""
        self.parameters = int(api.llama_model_n_params(self.handle))
        """The number of parameters."""
        self.projector: Projector | None = None
        """What pictures and sounds are turned into tokens by, if it takes any; owned."""
        self._pieces: dict[tuple[int, bool], bytes] = {}
        self._long_text = threading.Lock()

    def close(self) -> None:
        """Free the model; its contexts must have been freed before."""
        if self.projector:
            self.projector.close()
        if self.handle:
            api.llama_model_free(self.handle)
            self.handle = None

    @property
    def media_marker(self) -> str:
        """Return what stands in texts for a picture or sound; raise MediaError if it takes none."""
        return self._required_projector.marker

    def tokenize_media(self, text: str, media: Sequence[Media]) -> MediaPrompt:
        """Return the tokens and cells of `text`, with markers of the projector for `media`.

        Raise MediaError if there is no projector, or it cannot take one of them.
        """
        return self._required_projector.prompt(text, media)

    @property
    def _required_projector(self) -> Projector:
        if self.projector is None:
            raise MediaError(
                "this model takes no pictures and no sounds",
                hint="take a model that comes with a projector (mmproj)",
            )
        return self.projector

    @property
    def vocabulary(self) -> ctypes.c_void_p:
        """Return the engine's `llama_vocab*`, owned by the model."""
        vocabulary: ctypes.c_void_p = self._vocab
        return vocabulary

    @property
    def layers(self) -> int:
        """Return the number of layers, the output counted as one."""
        return int(api.llama_model_n_layer(self.handle)) + 1

    @property
    def chat_template(self) -> str:
        """Return the Jinja source of the model's own chat template, empty if it has none."""
        found = api.llama_model_chat_template(self.handle, None)
        return found.decode("utf-8", "replace") if found else ""

    @property
    def tool_use_template(self) -> str:
        """Return the source of the template for conversations with tools, empty if none."""
        found = api.llama_model_chat_template(self.handle, b"tool_use")
        return found.decode("utf-8", "replace") if found else ""

    def tokenize(self, text: str, *, beginning: bool, special: bool = True) -> list[int]:
        """Return the token IDs of `text`; `beginning` lets the model add its BOS and EOS tokens.

        Without `special`, text that spells a control token is tokenized as plain text.
        """
        data = text.encode("utf-8", "surrogateescape")
        with self._long_text if len(data) >= LONG else contextlib.nullcontext():
            return self._tokenized(data, beginning, special)

    def _tokenized(self, data: bytes, beginning: bool, special: bool) -> list[int]:
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = api.llama_tokenize(
                self._vocab, data, len(data), tokens, room, beginning, special
            )
            if count >= 0:
                break
            room = -count
        found: list[int] = []
        for begin in range(0, count, PORTION):
            found += tokens[begin : min(begin + PORTION, count)]
        return found

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes of a token; those of control tokens are empty without `special`."""
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

    def spelled(self, token: int) -> str:
        """Return the text of a token, control tokens included; incomplete characters as U+FFFD."""
        return self.piece(token, special=True).decode("utf-8", "replace")

    def signs(self, text: str) -> list[str]:
        """Return the parts of `text` that are read as one token with a meaning of its own.

        These begin and end turns, thoughts and calls. Runs of spaces and words are none of them.
        """
        meant = (
            api.LLAMA_TOKEN_ATTR_CONTROL
            | api.LLAMA_TOKEN_ATTR_USER_DEFINED
            | api.LLAMA_TOKEN_ATTR_UNKNOWN
        )
        tokens = set(self.tokenize(text, beginning=False))
        found = {
            self.spelled(token)
            for token in tokens
            if api.llama_vocab_get_attr(self._vocab, token) & meant
        }
        return sorted(sign for sign in found if sign in text and SIGN.search(sign))

    def token_text(self, token: int) -> str:
        """Return a token's text in the vocabulary, control tokens included; empty if negative."""
        return spelling(self._vocab, token)

    @property
    def adds_bos(self) -> bool:
        """Return whether tokenization with `beginning` adds the BOS token."""
        return bool(api.llama_vocab_get_add_bos(self._vocab))

    def is_eog(self, token: int) -> bool:
        """Return whether `token` ends generation."""
        return bool(api.llama_vocab_is_eog(self._vocab, token))

    @property
    def end_tokens(self) -> list[int]:
        """Return the EOS and EOT tokens; testing the whole vocabulary for EOG would be slow."""
        found = {int(ask(self._vocab)) for ask in (api.llama_vocab_eos, api.llama_vocab_eot)}
        return sorted(token for token in found if token >= 0)

    @property
    def suppressed(self) -> list[int]:
        """Return the tokens that the model's metadata says must never be generated."""
        count = ctypes.c_int32()
        found = api.llama_vocab_get_suppress_tokens(self._vocab, ctypes.byref(count))
        return list(found[: count.value])

    @property
    def can_rewind(self) -> bool:
        """Return whether the last tokens of a sequence can be removed from the KV cache.

        False for recurrent and hybrid models, which keep one state per sequence.
        """
        recurrent = api.llama_model_is_recurrent(self.handle)
        return not (recurrent or api.llama_model_is_hybrid(self.handle))


def spelling(vocabulary: ctypes.c_void_p, token: int) -> str:
    """Return the text of a token in a vocabulary; empty if `token` is negative."""
    found = api.llama_vocab_get_text(vocabulary, token) if token >= 0 else None
    return found.decode("utf-8", "replace") if found else ""
