"""A model that says given texts word for word, whatever it is asked.

GPT-2 with one block that does nothing: what it says next depends on the position alone. The row of
a position is that of the token to say there, so the length of the prompt chooses the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np
from ggufs import byte_symbol, finish

WIDTH, HEADS, POSITIONS = 256, 4, 16384
END = "<|parrot end|>"
MERGED = (254, 255)
"""Two bytes that no text has: the engine wants a merge."""


class Parrot:
    """A vocabulary of bytes and special tokens, and models with it."""

    def __init__(self, specials: Sequence[str]) -> None:
        """`specials` are the texts that are one token each."""
        self.specials = [*dict.fromkeys(one for one in specials if len(one) > 1), END]
        longest = sorted(self.specials, key=len, reverse=True)
        self._cut = re.compile("(" + "|".join(map(re.escape, longest)) + ")")

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of `text`: special ones, and bytes."""
        found: list[int] = []
        for part in self._cut.split(text):
            if part in self.specials:
                found.append(257 + self.specials.index(part))
            else:
                found += part.encode()
        return found

    def write(self, path: Path, says: Mapping[int, str], template: str = "") -> Path:
        """Write a model; `says` are texts by the tokens of the prompt before. Return `path`."""
        random = np.random.default_rng(1)
        signs = np.tile(np.array([-1, 1], np.float32), WIDTH // 2)
        words = random.permuted(np.tile(signs, (self.size, 1)), axis=1)
        places = random.permuted(np.tile(signs, (POSITIONS, 1)), axis=1)  # elsewhere: nonsense
        free = 0
        for prompt, text in sorted(says.items()):
            said = [*self.tokens(text), self.size - 1]
            if prompt <= free or prompt + len(said) > POSITIONS:
                raise ValueError(f"no room for {len(said)} tokens after {prompt}")
            free = prompt - 1 + len(said)
            places[prompt - 1 : free] = words[said]

        writer = gguf.GGUFWriter(path, "gpt2")
        writer.add_name("parrot")
        writer.add_context_length(POSITIONS)
        writer.add_embedding_length(WIDTH)
        writer.add_block_count(1)
        writer.add_feed_forward_length(WIDTH)
        writer.add_head_count(HEADS)
        writer.add_layer_norm_eps(1e-5)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        self._add_vocabulary(writer)
        if template:
            writer.add_chat_template(template)
        for name, shape in {
            "token_embd.weight": (self.size, WIDTH),
            "blk.0.attn_norm.weight": (WIDTH,),
            "blk.0.attn_norm.bias": (WIDTH,),
            "blk.0.attn_qkv.weight": (3 * WIDTH, WIDTH),
            "blk.0.attn_qkv.bias": (3 * WIDTH,),
            "blk.0.attn_output.weight": (WIDTH, WIDTH),
            "blk.0.attn_output.bias": (WIDTH,),
            "blk.0.ffn_norm.weight": (WIDTH,),
            "blk.0.ffn_norm.bias": (WIDTH,),
            "blk.0.ffn_up.weight": (WIDTH, WIDTH),
            "blk.0.ffn_up.bias": (WIDTH,),
            "blk.0.ffn_down.weight": (WIDTH, WIDTH),
            "blk.0.ffn_down.bias": (WIDTH,),
            "output_norm.bias": (WIDTH,),
        }.items():
            writer.add_tensor(name, np.zeros(shape, np.float32))
        writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor("position_embd.weight", places)
        writer.add_tensor("output.weight", words * np.float32(20 / WIDTH))
        return finish(writer, path)

    @property
    def size(self) -> int:
        """The number of tokens: bytes, the merged pair, special ones."""
        return 257 + len(self.specials)

    def _add_vocabulary(self, writer: gguf.GGUFWriter) -> None:
        first, second = map(byte_symbol, MERGED)
        octets = [*map(byte_symbol, range(256)), first + second]
        kinds = [gguf.TokenType.NORMAL] * len(octets)
        kinds += [gguf.TokenType.CONTROL] * len(self.specials)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list([*octets, *self.specials])
        writer.add_token_types(kinds)
        writer.add_token_merges([f"{first} {second}"])
        writer.add_bos_token_id(self.size - 1)
        writer.add_eos_token_id(self.size - 1)
        writer.add_add_bos_token(False)
