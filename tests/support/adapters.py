"""Write LoRA adapters for the demo model."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from paths import DEMO

RANK = 4


def write_adapter(path: Path, architecture: str = "llama", width: int = 0) -> Path:
    """Write an adapter that turns the demo model's answers into noise."""
    found = gguf.GGUFReader(str(DEMO)).get_field("llama.embedding_length")
    assert found is not None
    size = width or int(found.contents())
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for name in ("attn_q", "attn_output"):
        for layer in (0, 1):
            tensor = f"blk.{layer}.{name}.weight"
            a = random.standard_normal((RANK, size)).astype(np.float32)
            writer.add_tensor(f"{tensor}.lora_a", a)
            writer.add_tensor(f"{tensor}.lora_b", np.ascontiguousarray(a.T[::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
