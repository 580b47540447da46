"""Projector headers: what they tell, what fits a model, and what is refused in plain words."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import gguf
import misfits
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from projectors import KINDS, PATCH, write_projector, write_text_model

from runtime import bounds
from runtime.errors import GGUFError
from runtime.gguf import projector
from runtime.gguf.header import Header, Tensor, read_header
from runtime.gguf.projector import Traits, check_fit, compute_bytes, traits


def header_of(path: Path) -> Header:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_header(fd, path.stat().st_size, label=path.name)
    finally:
        os.close(fd)


def set_number(key: str, value: int) -> Any:
    """Return what sets a number in a projector's header."""

    def change(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[-1][f"clip.vision.{key}"].value = value

    return change


@pytest.mark.parametrize("kind", KINDS)
def test_a_projector_tells_what_it_is(tmp_path: Path, kind: str) -> None:
    header = header_of(write_projector(tmp_path / "mmproj.gguf", kind))
    found = traits(header, "it")

    assert Traits(KINDS[kind].projector, True, False, 64, compute_bytes(header)) == found
    assert {"sees": True, "hears": False, "width": 64}.items() <= found.facts().items()
    assert found == Traits.told(found.facts())


@pytest.mark.parametrize(
    "change",
    [
        {"type": 7},
        {"sees": 1},
        {"hears": None},
        {"sees": False},
        {"width": -1},
        {"width": "64"},
        {"buffers": -1},
        {"buffers": True},
        {"buffers": 0.5},
    ],
)
def test_facts_that_tell_less_are_not_relied_upon(change: dict[str, Any]) -> None:
    facts = {"type": "mlp", "sees": True, "hears": False, "width": 64, "buffers": 9}
    assert Traits.told(facts)
    assert Traits.told({**facts, **change}) is None


def test_sound_is_named_as_what_it_takes(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.add_bool("clip.has_audio_encoder", True)

    found = traits(header_of(write_projector(tmp_path / "both.gguf", change=change)), "it")

    assert "pictures and sound" == found.takes


@pytest.mark.parametrize("kind", KINDS)
def test_a_projector_fits_its_own_model(tmp_path: Path, kind: str) -> None:
    found = traits(header_of(write_projector(tmp_path / "mmproj.gguf", kind)), "it")
    check_fit(found, "it", header_of(write_text_model(tmp_path / "model.gguf", kind)), "the model")


def test_another_width_does_not_fit(tmp_path: Path) -> None:
    found = traits(header_of(write_projector(tmp_path / "mmproj.gguf", width=128)), "it")
    model = header_of(write_text_model(tmp_path / "model.gguf"))

    with pytest.raises(
        GGUFError, match=r"it does not fit m.gguf: it makes vectors of 128 numbers.* tokens have 64"
    ):
        check_fit(found, "it", model, "m.gguf")


def test_another_architecture_does_not_fit(tmp_path: Path) -> None:
    found = traits(header_of(write_projector(tmp_path / "mmproj.gguf", "gemma3")), "it")
    model = header_of(write_text_model(tmp_path / "model.gguf", "qwen2vl"))

    with pytest.raises(
        GGUFError, match=r"type 'gemma3' belongs to .* gemma3, and this is 'qwen2vl"
    ):
        check_fit(found, "it", model, "m.gguf")


def test_a_type_of_which_the_width_is_not_known_is_left_to_the_engine(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[-1]["clip.projector_type"].value = "newest"

    found = traits(header_of(write_projector(tmp_path / "new.gguf", change=change)), "it")
    assert 0 == found.width
    check_fit(found, "it", header_of(write_text_model(tmp_path / "model.gguf")), "the model")


def test_layers_beside_the_last_make_vectors_wider(tmp_path: Path) -> None:
    """As those of Qwen3-VL, whose model says how many there are."""

    def deep(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[-1]["clip.projector_type"].value = "qwen3vl_merger"
        for layer in (0, 1):
            writer.add_tensor(f"v.deepstack.{layer}.fc1.weight", np.zeros((4, 4), np.float32))

    def taking(writer: gguf.GGUFWriter) -> None:
        writer.add_uint32("qwen2vl.n_deepstack_layers", 2)

    found = traits(header_of(write_projector(tmp_path / "p.gguf", "qwen2vl", change=deep)), "it")
    assert 3 * 64 == found.width
    path = write_text_model(tmp_path / "model.gguf", "qwen2vl", change=taking)
    check_fit(found, "it", header_of(path), "the model")
    with pytest.raises(GGUFError, match="tokens have 64"):
        plain = write_text_model(tmp_path / "plain.gguf", "qwen2vl")
        check_fit(found, "it", header_of(plain), "the model")


def test_a_model_is_no_projector(tmp_path: Path) -> None:
    with pytest.raises(GGUFError, match="no multimodal projector: its architecture is 'llama'"):
        traits(header_of(write_text_model(tmp_path / "model.gguf")), "it")


def test_one_that_takes_nothing_is_refused(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[-1]["clip.has_vision_encoder"].value = False

    path = write_projector(tmp_path / "blind.gguf", change=change)
    with pytest.raises(GGUFError, match="does not say whether it takes pictures or sound"):
        traits(header_of(path), "it")


def test_too_many_patches_are_refused(tmp_path: Path) -> None:
    side = int(bounds.PROJECTOR_PATCHES**0.5)
    most = write_projector(tmp_path / "most.gguf", change=set_number("image_size", side * PATCH))
    more = (side + 1) * PATCH
    beyond = write_projector(tmp_path / "more.gguf", change=set_number("image_size", more))

    assert traits(header_of(most), "it").sees
    with pytest.raises(GGUFError, match="its pictures have 66,049 patches"):
        traits(header_of(beyond), "it")


@pytest.mark.parametrize(("key", "value"), [("patch_size", 0), ("image_size", 0)])
def test_sizes_of_nothing_are_refused(tmp_path: Path, key: str, value: int) -> None:
    path = write_projector(tmp_path / "none.gguf", change=set_number(key, value))
    with pytest.raises(GGUFError, match="damaged header"):
        traits(header_of(path), "it")


def test_a_header_without_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GGUFError, match="damaged header"):
        traits(header_of(misfits.projector(tmp_path / "p.gguf")), "it")


@pytest.mark.parametrize(
    ("megabytes", "kind", "width", "feed", "image"),
    [
        (20.3, "llava", 1024, 4096, 336),
        (127.1, "gemma3", 1152, 4304, 896),
        (280.1, "qwen2vl", 1280, 5120, 560),
    ],
)
def test_the_memory_that_encoding_takes_is_estimated(
    tmp_path: Path, megabytes: float, kind: str, width: int, feed: int, image: int
) -> None:
    """Against what llama-mtmd-cli says of projectors of these sizes, with flash attention."""

    def change(writer: gguf.GGUFWriter) -> None:
        for key, value in {
            "embedding_length": width,
            "feed_forward_length": feed,
            "image_size": image,
        }.items():
            set_number(key, value)(writer)

    estimate = compute_bytes(header_of(write_projector(tmp_path / "p.gguf", kind, change=change)))

    assert megabytes <= estimate / 1e6 <= 2 * megabytes


NUMBERS = ("image_size", "patch_size", "block_count", "embedding_length", "feed_forward_length")
VALUES = st.one_of(
    st.integers(-(1 << 63), 1 << 64), st.booleans(), st.floats(), st.text(), st.lists(st.integers())
)
TYPES = st.sampled_from([*projector.WIDTHS, *projector.BELONGS_TO, "unheard of"])


@given(
    metadata=st.fixed_dictionaries(
        {"general.architecture": st.sampled_from(["clip", "llama"])},
        optional={
            "clip.projector_type": TYPES | VALUES,
            "clip.has_vision_encoder": VALUES,
            "clip.has_audio_encoder": VALUES,
            **{f"clip.vision.{key}": VALUES for key in NUMBERS},
        },
    ),
    shapes=st.dictionaries(
        st.sampled_from([name for name, _ in projector.WIDTHS.values()]),
        st.lists(st.integers(0, 1 << 62), max_size=4).map(tuple),
    ),
    width=VALUES,
)
def test_a_strangers_header_is_read_or_refused(
    metadata: dict[str, Any], shapes: dict[str, tuple[int, ...]], width: Any
) -> None:
    tensors = tuple(Tensor(name, shape, 0, 0, 0) for name, shape in shapes.items())
    header = Header(3, metadata, {}, tensors, 0)
    model = {"general.architecture": "llama", "llama.embedding_length": width}
    with contextlib.suppress(GGUFError):
        found = traits(header, "it")
        assert found.width >= 0
        assert compute_bytes(header) >= 0
        check_fit(found, "it", Header(3, model, {}, (), 0), "the model")
