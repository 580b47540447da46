"""An open model: its metadata, its vocabulary, its chat template."""

from __future__ import annotations

import ctypes

from runtime.errors import ModelError
from runtime.model.llama_api import NO_REASON, api, load_model
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.weights.stdio_file import File


class Model:
    """A model that the engine has loaded."""

    def __init__(self, source: ModelFile, file: File, options: Options) -> None:
        """Load the GGUF that `file` stands at; raise ModelError with the engine's own reason."""
        self.label = source.label
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = options.gpu_layers
        parameters.use_extra_bufts = options.repack
        parameters.load_mode = (
            api.LLAMA_LOAD_MODE_AUTO if options.mmap and file.mappable else api.LLAMA_LOAD_MODE_NONE
        )
        self.handle, reason = load_model(file, parameters)
        if not self.handle:
            raise ModelError(
                f"the engine cannot load {source.label}: {reason or NO_REASON}",
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
