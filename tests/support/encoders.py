"""Write tiny encoders with random weights: for vectors of texts, or for reranking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from ggufs import add_bpe, finish

WIDTH, FEED, LAYERS, CONTEXT = 32, 64, 2, 128


def write_encoder(
    path: Path,
    pooling: gguf.PoolingType | None = gguf.PoolingType.MEAN,
    *,
    name: str = "tiny bert",
    context: int = CONTEXT,
    change: Callable[[gguf.GGUFWriter], object] = lambda _: None,
) -> Path:
    """Write a BERT that makes one vector of each text, or with RANK, one number; return `path`.

    Without a `pooling`, its header names none. `change` may alter what was added.
    """
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(name)
    writer.add_license("MIT")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    add_bpe(writer)
    writer.add_token_type_count(2)
    tokens = len(writer.kv_data[-1]["tokenizer.ggml.tokens"].value)
    random = np.random.default_rng(3)

    def tensor(name: str, *shape: int, ones: bool = False) -> None:
        data = np.ones(shape) if ones else random.normal(0, 0.3, shape)
        writer.add_tensor(name, data.astype(np.float32))

    tensor("token_embd.weight", tokens, WIDTH)
    tensor("token_types.weight", 2, WIDTH)
    tensor("position_embd.weight", context, WIDTH)
    tensor("token_embd_norm.weight", WIDTH, ones=True)
    tensor("token_embd_norm.bias", WIDTH)
    for layer in range(LAYERS):
        prefix = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"{prefix}.{part}.weight", WIDTH, WIDTH)
            tensor(f"{prefix}.{part}.bias", WIDTH)
        for norm in ("attn_output_norm", "layer_output_norm"):
            tensor(f"{prefix}.{norm}.weight", WIDTH, ones=True)
            tensor(f"{prefix}.{norm}.bias", WIDTH)
        tensor(f"{prefix}.ffn_up.weight", FEED, WIDTH)
        tensor(f"{prefix}.ffn_up.bias", FEED)
        tensor(f"{prefix}.ffn_down.weight", WIDTH, FEED)
        tensor(f"{prefix}.ffn_down.bias", WIDTH)
    if pooling is gguf.PoolingType.RANK:
        tensor("cls.weight", WIDTH, WIDTH)
        tensor("cls.bias", WIDTH)
        tensor("cls.output.weight", 1, WIDTH)
        tensor("cls.output.bias", 1)
    change(writer)
    return finish(writer, path)
