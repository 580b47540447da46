"""A tiny recurrent model (Mamba) with random weights: it cannot take back what it has read."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from ggufs import CONTROL, add_spm

WIDTH, INNER, STATE, KERNEL, RANK, LAYERS = 64, 128, 16, 4, 8, 2
PIECES = "▁abcdefghijklmnopqrstuvwxyz"


def write(path: Path) -> Path:
    """Write the model to `path`."""
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_name("Random recurrent")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(LAYERS)
    writer.add_ssm_conv_kernel(KERNEL)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)
    writer.add_layer_norm_rms_eps(1e-5)
    add_spm(writer)
    words = 3 + 256 + len(PIECES) + len(CONTROL[1:])
    dice = np.random.default_rng(1)

    def add(name: str, *shape: int, scale: float = 0.3, base: float = 0.0) -> None:
        writer.add_tensor(name, (base + scale * dice.standard_normal(shape)).astype(np.float32))

    add("token_embd.weight", words, WIDTH)
    add("output_norm.weight", WIDTH, base=1.0)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        add(f"{block}.attn_norm.weight", WIDTH, base=1.0)
        add(f"{block}.ssm_in.weight", 2 * INNER, WIDTH)
        add(f"{block}.ssm_conv1d.weight", INNER, KERNEL)
        add(f"{block}.ssm_conv1d.bias", INNER)
        add(f"{block}.ssm_x.weight", RANK + 2 * STATE, INNER)
        add(f"{block}.ssm_dt.weight", INNER, RANK)
        add(f"{block}.ssm_dt.bias", INNER)
        add(f"{block}.ssm_a", INNER, STATE, base=-1.0, scale=0.1)
        add(f"{block}.ssm_d", INNER)
        add(f"{block}.ssm_out.weight", WIDTH, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
