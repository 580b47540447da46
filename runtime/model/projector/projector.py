"""Projector: turns pictures and sounds into what its model takes in the place of tokens.

The engine loads it when it is first needed. What it computes is kept for a while, so that the same
picture is not encoded again.
"""

from __future__ import annotations

import ctypes
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from runtime.errors import MediaError, ModelError
from runtime.media.kinds import Media, Patience, require_room
from runtime.media.picture import Picture
from runtime.media.turned import turned
from runtime.model.engine_build import FLASH_ATTENTION
from runtime.model.llama_api import NO_REASON, api, native_call
from runtime.model.projector import library
from runtime.model.projector.media_prompt import Chunk, Chunks, MediaPrompt, cells_of
from runtime.model.projector.projector_file import ProjectorFile
from runtime.options.registry import Options

KEPT_BYTES = 64 << 20
"""Of encoded pictures: some dozens for models of usual widths."""
TEXT = 0
"""MTMD_INPUT_CHUNK_TYPE_TEXT of mtmd.h."""


@dataclass(frozen=True)
class Encoded:
    """What a chunk is to the model: a vector for each of its cells."""

    vectors: Any
    """A ctypes array of 32-bit floats."""
    size: int
    """In bytes."""


class Projector:
    """A `mtmd_context*`, owned by this object until `close`.

    Prompts can be made by any thread; only the decoding thread may encode and decode.
    """

    def __init__(
        self, file: ProjectorFile, model: Any, options: Options, threads: int, device: int | None
    ) -> None:
        """`model` is its `llama_model*`; `device` a `ggml_backend_dev_t`, None for the processor.

        Raise AppError if the library cannot be loaded.
        """
        self.file = file
        self.sees, self.hears = file.traits.sees, file.traits.hears
        self.marker = f"<__media_{secrets.token_hex(8)}__>"
        """What stands in texts where a picture or sound is; nobody else can write it."""
        self.encoded = 0
        """How many chunks were encoded."""
        self._model, self._options, self._threads = model, options, threads
        self._device = device
        self._api = library.load()
        self._context: Any = None
        self._loading = threading.Lock()
        self._kept: OrderedDict[int, Encoded] = OrderedDict()
        self._width = int(api.llama_model_n_embd_inp(model))

    def close(self) -> None:
        """Free everything in the engine."""
        self._kept.clear()
        if self._context:
            self._api.mtmd_free(self._context)
            self._context = None

    def prompt(self, text: str, media: Sequence[Media]) -> MediaPrompt:
        """Return the tokens and cells of `text`, in which there is a marker for each of `media`.

        Raise MediaError if one cannot be decoded, or is of a kind that the model does not take, or
        if all of them together are too much.
        """
        for one in media:
            self.require(one)
        require_room(media)
        context = self._loaded()
        patience = Patience()
        with ExitStack() as stack:
            bitmaps = (ctypes.c_void_p * len(media))()
            for number, one in enumerate(media):
                patience.require()
                bitmaps[number] = self._decoded(context, one)
                stack.callback(self._api.mtmd_bitmap_free, bitmaps[number])
            data = text.encode("utf-8", "surrogateescape")
            given = self._api.mtmd_input_text(data, len(data), True, True)
            made = self._api.mtmd_input_chunks_init()
            chunks = Chunks(made, self._api.mtmd_input_chunks_free)
            with native_call() as call:
                failed = self._api.mtmd_tokenize(
                    context, made, ctypes.byref(given), bitmaps, len(media)
                )
            if failed:
                raise MediaError(
                    f"the engine cannot prepare the pictures or sounds: {call.reason or NO_REASON}",
                    hint="try another, or a smaller one",
                )
        return self._read(chunks)

    def decode(self, chunk: Chunk, context: Any, sequence: int, position: int, batch: int) -> int:
        """Put a chunk into the KV cache of a `llama_context*`; return llama_decode's status.

        It is encoded before, unless it is still known. It begins at `position` of `sequence`, and
        goes in by `batch` vectors at a time. Raise ModelError if it cannot be encoded.
        """
        ours = self._loaded()
        whole = self._api.mtmd_decode_use_non_causal(ours, chunk.handle)
        if whole and len(chunk.cells) > batch:
            raise ModelError(
                f"a picture takes {len(chunk.cells)} tokens, which this model must read at once; "
                f"{batch} are read at a time",
                hint=f"give -b {len(chunk.cells)}",
            )
        encoded = self._encoded(chunk)
        end = ctypes.c_int32()
        with native_call():
            return int(
                self._api.mtmd_helper_decode_image_chunk(
                    ours, context, chunk.handle,
                    ctypes.cast(encoded.vectors, ctypes.POINTER(ctypes.c_float)),
                    position, sequence, batch, ctypes.byref(end),
                    self._api.mtmd_helper_post_decode_callback(), None,
                )
            )  # fmt: skip

    def require(self, one: Media) -> None:
        """Raise MediaError if the model does not take what this is."""
        taken, name = (
            (self.sees, "pictures") if isinstance(one, Picture) else (self.hears, "sounds")
        )
        if not taken:
            other = "pictures" if self.sees else "sounds"
            raise MediaError(f"this model takes no {name}", hint=f"it takes {other}")

    def _loaded(self) -> Any:
        """Return the engine's context; loaded now if it was not."""
        with self._loading:
            if self._context is None:
                self._context = self._load()
            return self._context

    def _load(self) -> Any:
        parameters = self._api.mtmd_context_params_default()
        parameters.use_gpu = self._device is not None
        parameters.device = self._device
        parameters.print_timings = False
        parameters.n_threads = self._threads
        parameters.media_marker = self.marker.encode()
        parameters.flash_attn_type = FLASH_ATTENTION[self._options.flash_attn]
        parameters.warmup = False  # its buffers are made for the first picture
        with self.file.opened(self._options) as (fd, offset), native_call() as call:
            found = self._api.mtmd_init_from_file(
                f"{fd}+{offset}+{self.file.size}".encode(), self._model, parameters
            )
        if not found:
            raise ModelError(
                f"the engine cannot load {self.file.label}: {call.reason or NO_REASON}",
                hint="take the mmproj file that was made for this model",
            )
        return found

    def _decoded(self, context: Any, one: Media) -> Any:
        """Return a `mtmd_bitmap*` with the pixels of a picture, or the samples of a sound."""
        data = (ctypes.c_uint8 * len(one.data)).from_buffer_copy(one.data)
        with native_call() as call:
            found = self._api.mtmd_helper_bitmap_init_from_buf(context, data, len(data), False)
        if not found:
            raise MediaError(
                f"the engine cannot decode it: {call.reason or NO_REASON}",
                hint="convert it to PNG or JPEG, a sound to WAV",
            )
        if isinstance(one, Picture) and one.orientation != 1:
            return self._upright(found, one)
        return found

    def _upright(self, bitmap: Any, picture: Picture) -> Any:
        """Return a bitmap that is turned as the camera was held; frees the one given."""
        try:
            width = int(self._api.mtmd_bitmap_get_nx(bitmap))
            height = int(self._api.mtmd_bitmap_get_ny(bitmap))
            pixels = ctypes.string_at(self._api.mtmd_bitmap_get_data(bitmap), 3 * width * height)
        finally:
            self._api.mtmd_bitmap_free(bitmap)
        pixels, width, height = turned(pixels, width, height, picture.orientation)
        data = (ctypes.c_uint8 * len(pixels)).from_buffer_copy(pixels)
        found = self._api.mtmd_bitmap_init(width, height, data)
        self._api.mtmd_bitmap_set_id(found, f"{picture.digest}/{picture.orientation}".encode())
        return found

    def _read(self, chunks: Chunks) -> MediaPrompt:
        """Return what mtmd has made of a prompt."""
        prompt = MediaPrompt()
        digest, number = "", 0
        for place in range(int(self._api.mtmd_input_chunks_size(chunks.handle))):
            handle = self._api.mtmd_input_chunks_get(chunks.handle, place)
            if self._api.mtmd_input_chunk_get_type(handle) == TEXT:
                count = ctypes.c_size_t()
                tokens = self._api.mtmd_input_chunk_get_tokens_text(handle, ctypes.byref(count))
                prompt += tokens[: count.value]
                continue
            name = (self._api.mtmd_input_chunk_get_id(handle) or b"").decode()
            number = number + 1 if name == digest else 0
            digest = name
            size = int(self._api.mtmd_input_chunk_get_n_tokens(handle))
            positions = int(self._api.mtmd_input_chunk_get_n_pos(handle))
            prompt.add(Chunk(handle, chunks, cells_of(digest, number, size, positions), positions))
        return prompt

    def _encoded(self, chunk: Chunk) -> Encoded:
        """Return what a chunk is to the model; encoded now unless it is still known."""
        key = chunk.cells[0]
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with native_call() as call:
            failed = self._api.mtmd_encode_chunk(self._context, chunk.handle)
        if failed:
            raise ModelError(
                f"the engine cannot encode the picture or sound: {call.reason or NO_REASON}",
                hint="try a smaller one",
            )
        self.encoded += 1
        count = self._width * len(chunk.cells)
        vectors = (ctypes.c_float * count)()
        ctypes.memmove(
            vectors, self._api.mtmd_get_output_embd(self._context), ctypes.sizeof(vectors)
        )
        made = Encoded(vectors, ctypes.sizeof(vectors))
        self._kept[key] = made
        while len(self._kept) > 1 and sum(one.size for one in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return made
