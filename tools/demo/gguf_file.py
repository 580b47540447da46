"""What the GGUFs of the demo model and of its eye have alike: where they are from, and matrices."""

from collections.abc import Iterable, Sequence

import gguf
import numpy as np
from torch import Tensor, nn


def add_origin(
    writer: gguf.GGUFWriter,
    module: nn.Module,
    kind: str,
    description: str,
    tags: Sequence[str] = (),
    languages: Sequence[str] = (),
) -> None:
    """Say what the `module` is, one of the kinds in GGUFType, and who made it."""
    parameters = sum(weight.numel() for weight in module.parameters())
    writer.add_type(kind)
    writer.add_name("modelembed demo")
    writer.add_basename("modelembed-demo")
    writer.add_version("1")
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_author("the modelembed project")
    writer.add_description(description)
    writer.add_license("CC0-1.0")
    writer.add_license_name("Creative Commons Zero 1.0 Universal")
    if tags:
        writer.add_tags(tags)
    if languages:
        writer.add_languages(languages)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def finish(writer: gguf.GGUFWriter, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write matrices in F16, all else in F32, also positions: they are added, not multiplied by."""
    for name, weight in tensors:
        matrix = weight.dim() == 2 and "position" not in name
        data = weight.numpy().astype(np.float16 if matrix else np.float32)
        writer.add_tensor(name, np.ascontiguousarray(data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
