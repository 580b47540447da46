"""Projector header: what a multimodal projector (mmproj) is for, and whether it fits a model.

Source: `tools/mtmd/clip.cpp` of llama.cpp. A projector turns pictures or sound into vectors as wide
as those of the tokens of one model; each type is a network of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.errors import GGUFError
from runtime.gguf.header import Header, Tensor

ARCHITECTURES = ("clip", "mmproj")
SECTION = "projector"
"""The kind of its section in a bundle, and what that is called."""
FILE_TYPE = "mmproj"
"""`general.type` of a projector."""
WIDTHS: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(
        "pixtral lightonocr phi4 dots_ocr lfm2 kimivl paddleocr kimik25 yasa2 mlp".split(),
        ("mm.2.weight", 1),
    ),
    "ldp": ("mm.model.mb_block.1.block.2.1.bias", 0),
    "ldpv2": ("mm.model.peg.0.bias", 0),
    "resampler": ("resampler.proj.weight", 0),
    "adapter": ("adapter.linear.dense_4h_to_h.weight", 1),
    **dict.fromkeys(
        ("qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "exaone4_5"), ("mm.2.bias", 0)
    ),
    "janus_pro": ("mm.1.bias", 0),
    **dict.fromkeys(("gemma3", "gemma3nv"), ("mm.input_projection.weight", 0)),
    **dict.fromkeys(("gemma4v", "gemma4uv"), ("mm.input_projection.weight", 1)),
    **dict.fromkeys(("idefics3", "llama4"), ("mm.model.fc.weight", 1)),
    **dict.fromkeys(("internvl", "nemotron_v2_vl"), ("mm.model.mlp.3.weight", 1)),
    **dict.fromkeys(("glm4v", "cogvlm"), ("mm.down.weight", 1)),
    **dict.fromkeys(("ultravox", "voxtral", "qwen3a"), ("mm.a.mlp.2.weight", 1)),
    "qwen2a": ("mm.a.fc.weight", 1),
}
"""By type, which tensor's which dimension is the width of the vectors, as `clip_n_mmproj_embd` has
it; of other types the engine itself tells."""
WITH_THIRD = ("mm.3.bias", 0)
"""The same of the type `mlp` if that tensor is there (Yi-VL)."""
DEEPSTACK = "v.deepstack.{}.fc1.weight"
"""A tensor of each layer whose output a vector has beside the last one's (Qwen3-VL)."""
BELONGS_TO: Mapping[str, tuple[str, ...]] = {
    "gemma3": ("gemma3",),
    "gemma3nv": ("gemma3n",),
    "gemma3na": ("gemma3n",),
    "gemma4v": ("gemma4",),
    "gemma4a": ("gemma4",),
    "llama4": ("llama4",),
    "cogvlm": ("cogvlm",),
    "qwen2vl_merger": ("qwen2vl",),
    "qwen2.5vl_merger": ("qwen2vl",),
    "paddleocr": ("paddleocr",),
}
"""By type, the only architectures whose models were trained with such a projector."""
DYNAMIC = (
    "qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "pixtral", "lightonocr", "kimivl",
    "glm4v", "dots_ocr", "paddleocr", "lfm2",
)  # fmt: skip
"""Types that take pictures of any size as they are, in limits."""
DYNAMIC_PATCHES = 4 * 46 * 46
"""How many patches of such pictures the engine makes room for at first."""
ROWS = 5
"""Vectors of a patch that are in memory at once while it is encoded, beside its row of the
feed-forward network: 2.5 to 4.6 of them were seen with encoders of three kinds."""


@dataclass(frozen=True)
class Traits:
    """What a projector is, by its header."""

    type: str
    """As mtmd calls it; of pictures where it takes both."""
    sees: bool
    hears: bool
    width: int
    """Of the vectors that it makes; 0 where only the engine can tell."""
    buffers: int
    """Bytes that encoding takes beside the weights, estimated."""

    @property
    def takes(self) -> str:
        """Return what it takes, in words."""
        return taken(sees=self.sees, hears=self.hears)

    def facts(self) -> dict[str, Any]:
        """Return what a section with it tells."""
        width = {"width": self.width} if self.width else {}
        told = {"type": self.type, "sees": self.sees, "hears": self.hears, **width}
        return {**told, "buffers": self.buffers}

    @classmethod
    def told(cls, facts: Mapping[str, Any]) -> Traits | None:
        """Return what the facts of a section tell; None where they do not tell all of it."""
        kind, sees, hears = facts.get("type"), facts.get("sees"), facts.get("hears")
        width, buffers = _size(facts.get("width", 0)), _size(facts.get("buffers"))
        if not isinstance(kind, str) or width is None or buffers is None:
            return None
        if not isinstance(sees, bool) or not isinstance(hears, bool) or not (sees or hears):
            return None
        return cls(kind, sees, hears, width, buffers)


def _size(value: object) -> int | None:
    """Return a number that can be a size; None for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return value


def line(facts: Mapping[str, Any]) -> str:
    """Return what a projector is, in words, by the facts of its section, which are a stranger's."""
    name = str(facts.get("name") or "a projector without a name")
    sees, hears = facts.get("sees") is True, facts.get("hears") is True
    return f"{name}, takes {taken(sees=sees, hears=hears)} (type {facts.get('type', 'unknown')})"


def taken(*, sees: bool, hears: bool) -> str:
    """Return what a projector takes, in words."""
    words = ["pictures"] * sees + ["sound"] * hears
    return " and ".join(words) or "nothing that this program knows"


def is_projector(header: Header) -> bool:
    """Tell whether a GGUF is a projector, and so no model."""
    return header.architecture in ARCHITECTURES or header.text("general.type") == FILE_TYPE


def traits(header: Header, label: str) -> Traits:
    """Return what the projector with this `header`, tensors included, is.

    Raise GGUFError, with `label` as the file's name, if it is none, or one that mtmd does not take.
    """
    if not is_projector(header):
        raise GGUFError(
            f"{label} is no multimodal projector: its architecture is '{header.architecture}'",
            hint="give the file that has mmproj in its name, made for the same model",
        )
    sees = header.metadata.get("clip.has_vision_encoder") is True
    hears = header.metadata.get("clip.has_audio_encoder") is True
    kind = header.text("clip.projector_type")
    kind = kind or header.text(
        "clip.vision.projector_type" if sees else "clip.audio.projector_type"
    )
    if not kind or not (sees or hears):
        lacks = "what type it is" if sees or hears else "whether it takes pictures or sound"
        raise GGUFError(
            f"{label} is a projector that does not say {lacks}",
            hint="convert it again with a current llama.cpp: convert_hf_to_gguf.py --mmproj",
        )
    if sees:
        _require_possible(header, label)
    return Traits(kind, sees, hears, _width(header, kind), compute_bytes(header))


def _require_possible(header: Header, label: str) -> None:
    """Refuse sizes by which the engine would divide by zero, or ask for all memory there is."""
    side, patch = _sides(header)
    if not 0 < patch <= side or (side // patch) ** 2 > bounds.PROJECTOR_PATCHES:
        count = f"{(side // patch) ** 2:,}" if patch else "no"
        raise GGUFError(
            f"{label} has a damaged header: its pictures have {count} patches, expected 1 to "
            f"{bounds.PROJECTOR_PATCHES:,}",
            hint="download or copy it again",
        )


def _sides(header: Header) -> tuple[int, int]:
    """Return how many pixels wide the pictures are that it takes, and the patches of those."""
    return header.number("clip.vision.image_size"), header.number("clip.vision.patch_size")


def check_fit(found: Traits, label: str, model: Header, model_label: str) -> None:
    """Raise GGUFError unless the projector `found` fits a model, whose header is `model`."""
    other = "take the one that was made for this model; it usually lies beside it, on its page"
    expected = model_width(model)
    if found.width and expected and found.width != expected:
        raise GGUFError(
            f"{label} does not fit {model_label}: it makes vectors of {found.width:,} numbers, and "
            f"the model's tokens have {expected:,}",
            hint=other,
        )
    known = BELONGS_TO.get(found.type)
    if known and model.architecture not in known:
        raise GGUFError(
            f"{label} does not fit {model_label}: a projector of the type '{found.type}' belongs "
            f"to models of the architecture {' or '.join(known)}, and this is "
            f"'{model.architecture}'",
            hint=other,
        )


def require_whole(header: Header, size: int, label: str) -> None:
    """Raise GGUFError if a file of `size` bytes ends before its tensors do."""
    if header.end > size:
        raise GGUFError(
            f"{label} is truncated: {header.end - size:,} of {header.end:,} bytes are missing",
            hint="finish or repeat its download",
        )


def model_width(model: Header) -> int:
    """Return how many numbers a model takes in place of a token; 0 if its header does not tell."""
    mapping = model.metadata.get(f"{model.architecture}.deepstack_mapping")
    if isinstance(mapping, list):  # how many there are depends on the layers: the engine counts
        return 0
    return model.hyper("embedding_length") * (1 + model.hyper("n_deepstack_layers"))


def compute_bytes(header: Header) -> int:
    """Estimate the bytes of buffers that encoding takes, for the largest picture at first."""
    width = max(0, header.number("clip.vision.embedding_length"))
    feed = max(0, header.number("clip.vision.feed_forward_length"))
    side, patch = _sides(header)
    patches = (side // patch) ** 2 if patch else 0
    if header.text("clip.projector_type") in DYNAMIC:
        patches = max(patches, DYNAMIC_PATCHES)
    pixels = 2 * 3 * patch * patch  # of three colours, as they are read and as numbers scaled
    return 4 * patches * (ROWS * width + feed + pixels)


def _width(header: Header, kind: str) -> int:
    tensors = {tensor.name: tensor for tensor in header.tensors}
    name, axis = WIDTHS.get(kind, ("", 0))
    if kind == "mlp" and WITH_THIRD[0] in tensors:
        name, axis = WITH_THIRD
    width = _dimension(tensors.get(name), axis)
    if kind == "qwen3vl_merger":
        layers = header.number("clip.vision.block_count")
        width *= 1 + sum(DEEPSTACK.format(layer) in tensors for layer in range(min(layers, 1000)))
    return width


def _dimension(tensor: Tensor | None, axis: int) -> int:
    return tensor.shape[axis] if tensor and axis < len(tensor.shape) else 0
