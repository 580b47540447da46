"""Write the trained eye as the GGUF of a LLaVA projector, as llama.cpp's mtmd reads it."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor

from demo import gguf_file
from encoder import Eye, EyeShape
from pixels import DEVIATION, MEAN

DESCRIPTION = (
    "The eye of modelembed's demo model: it names the colour and the shape of one or two things "
    "that are drawn, and how they lie. Made to try pictures with, and to test them."
)
LINEAR = {"output": "attn_out", "up": "ffn_up", "down": "ffn_down", "ln1": "ln1", "ln2": "ln2"}


SHAPE_KEYS = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "embedding_length": "embedding_length",
    "feed_forward_length": "feed_forward_length",
    "block_count": "block_count",
    "head_count": "attention.head_count",
    "projection_dim": "projection_dim",
    "layer_norm_epsilon": "attention.layer_norm_epsilon",
}


def tensors(eye: Eye) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors under their names in a GGUF."""
    weights = eye.state_dict()
    for part in ("weight", "bias"):
        yield f"v.patch_embd.{part}", weights[f"patch_embd.{part}"]
        for norm in ("pre_ln", "post_ln"):
            yield f"v.{norm}.{part}", weights[f"{norm}.{part}"]
        for index in range(eye.shape.block_count):
            block = f"blocks.{index}"
            for name, values in zip("qkv", weights[f"{block}.qkv.{part}"].chunk(3), strict=True):
                yield f"v.blk.{index}.attn_{name}.{part}", values
            for ours, theirs in LINEAR.items():
                yield f"v.blk.{index}.{theirs}.{part}", weights[f"{block}.{ours}.{part}"]
        for number in (0, 2):
            yield f"mm.{number}.{part}", weights[f"mm_{number}.{part}"]
    yield "v.position_embd.weight", weights["position_embd"]


def write_gguf(eye: Eye, path: Path) -> None:
    """Write matrices in F16; norms, biases, patches and positions in F32."""
    writer = gguf.GGUFWriter(path, "clip")
    gguf_file.add_origin(writer, eye, gguf.GGUFType.MMPROJ, DESCRIPTION)
    _add_shape(writer, eye)
    gguf_file.finish(writer, tensors(eye))


def read_gguf(path: Path) -> Eye:
    """Read what was written, as rounded as it is there."""
    reader = gguf.GGUFReader(path)
    values = {
        name: reader.fields[f"clip.vision.{key}"].contents() for name, key in SHAPE_KEYS.items()
    }
    eye = Eye(EyeShape(**values))
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    for name, weight in tensors(eye):
        weight.copy_(torch.from_numpy(np.array(found[name], dtype=np.float32)))
    return eye


def _add_shape(writer: gguf.GGUFWriter, eye: Eye) -> None:
    shape = eye.shape
    for name, key in SHAPE_KEYS.items():
        value = getattr(shape, name)
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"clip.vision.{key}", value)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    # mtmd leaves out the last block of a LLaVA unless it is told which one's output is meant.
    writer.add_array("clip.vision.feature_layer", [shape.block_count])
    writer.add_array("clip.vision.image_mean", list(MEAN))
    writer.add_array("clip.vision.image_std", list(DEVIATION))
