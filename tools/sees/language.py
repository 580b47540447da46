"""The demo model as it is: its weights out of the GGUF, frozen, and its tokens."""

from dataclasses import fields
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from demo import Network, Shape, normalize, rotation_table

GGUF_NAMES = {
    "vocab_size": "llama.vocab_size",
    "context_length": "llama.context_length",
    "embedding_length": "llama.embedding_length",
    "block_count": "llama.block_count",
    "feed_forward_length": "llama.feed_forward_length",
    "head_count": "llama.attention.head_count",
    "head_count_kv": "llama.attention.head_count_kv",
    "rope_freq_base": "llama.rope.freq_base",
    "rms_epsilon": "llama.attention.layer_norm_rms_epsilon",
}


class Language:
    """A language model that is asked and never changed."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        values = {name: reader.fields[key].contents() for name, key in GGUF_NAMES.items()}
        assert set(values) == {field.name for field in fields(Shape)}
        self.network = Network(Shape(**values))
        self.network.load_state_dict(_weights(reader, self.network.shape))
        self.network.requires_grad_(False)
        self._tokenizer = _tokenizer(reader)

    def tokens(self, text: str) -> list[int]:
        """Return a text's tokens."""
        return list(self._tokenizer.encode(text).ids)

    def text(self, tokens: list[int]) -> str:
        """Return what tokens say."""
        return self._tokenizer.decode(tokens, skip_special_tokens=False)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings of tokens."""
        return self.network.token_embd(tokens)  # type: ignore[no-any-return]

    def states(self, embeddings: Tensor) -> Tensor:
        """Return the final states (batch, length, width) behind embeddings of whatever."""
        rotation = rotation_table(embeddings.shape[1], self.network.shape)
        x = embeddings
        for block in self.network.blocks:
            x = block(x, rotation)
        return normalize(x)

    def logits(self, states: Tensor) -> Tensor:
        """Return the scores of all tokens."""
        return self.network.logits(states)


def _weights(reader: gguf.GGUFReader, shape: Shape) -> dict[str, Tensor]:
    found = {
        tensor.name: torch.from_numpy(np.array(tensor.data, dtype=np.float32))
        for tensor in reader.tensors
    }
    weights = {"token_embd.weight": found["token_embd.weight"]}
    for index in range(shape.block_count):
        ours, theirs = f"blocks.{index}", f"blk.{index}"
        weights[f"{ours}.attn.qkv.weight"] = torch.cat(
            [found[f"{theirs}.attn_{part}.weight"] for part in "qkv"]
        )
        weights[f"{ours}.attn.output.weight"] = found[f"{theirs}.attn_output.weight"]
        weights[f"{ours}.ffn.gate_up.weight"] = torch.cat(
            [found[f"{theirs}.ffn_{part}.weight"] for part in ("gate", "up")]
        )
        weights[f"{ours}.ffn.down.weight"] = found[f"{theirs}.ffn_down.weight"]
    return weights


def _tokenizer(reader: gguf.GGUFReader) -> Tokenizer:
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    numbers = {token: number for number, token in enumerate(tokens)}
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(numbers, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    control = gguf.TokenType.CONTROL
    tokenizer.add_special_tokens(
        [t for t, kind in zip(tokens, types, strict=True) if kind == control]
    )
    return tokenizer
