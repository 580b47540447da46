"""The models made for tests are sound: the engine loads them, and the broken ones are broken."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from ggufs import (
    ARCHITECTURES,
    CHATML,
    WEIGHT_TYPES,
    random_blocks,
    split_model,
    write_model,
)
from misfits import (
    HOSTILE,
    NOT_GGUF,
    adapter,
    big_endian,
    hostile,
    not_gguf,
    projector,
    truncated,
    unknown_architecture,
    vocabulary_only,
)

from runtime.host import library_paths
from runtime.model import llama_api

TEXT = "the cat and the 猫 \N{GRINNING FACE}"


class Engine:
    """Just enough of llama.cpp to load a file and decode a few tokens."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib

    def load(self, path: Path) -> Any:
        """Return the model in `path`, or None where the engine refuses it."""
        return self.lib.llama_model_load_from_file(
            str(path).encode(), self.lib.llama_model_default_params()
        )

    def tokenize(self, model: Any, text: str) -> list[int]:
        """Return the tokens of `text`, without any that the vocabulary would add."""
        raw = text.encode()
        tokens = (self.lib.llama_token * (len(raw) + 8))()
        vocab = self.lib.llama_model_get_vocab(model)
        count = self.lib.llama_tokenize(vocab, raw, len(raw), tokens, len(tokens), False, False)
        return list(tokens[:count])

    def detokenize(self, model: Any, tokens: list[int]) -> str:
        """Return the text of `tokens`."""
        text = ctypes.create_string_buffer(1024)
        array = (self.lib.llama_token * len(tokens))(*tokens)
        vocab = self.lib.llama_model_get_vocab(model)
        size = self.lib.llama_detokenize(vocab, array, len(tokens), text, 1024, False, False)
        return text.raw[:size].decode()

    def decode(self, model: Any, tokens: list[int], more: int) -> np.ndarray[Any, Any]:
        """Feed `tokens`, then `more` greedy ones; return the logits of every step."""
        params = self.lib.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 64, 1, 1
        context = self.lib.llama_init_from_model(model, params)
        assert context
        size = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(model))
        steps = []
        try:
            for _ in range(more + 1):
                array = (self.lib.llama_token * len(tokens))(*tokens)
                batch = self.lib.llama_batch_get_one(array, len(tokens))
                assert self.lib.llama_decode(context, batch) == 0
                logits = self.lib.llama_get_logits_ith(context, -1)
                steps.append(np.ctypeslib.as_array(logits, (size,)).copy())
                tokens = [int(steps[-1].argmax())]
        finally:
            self.lib.llama_free(context)
        return np.array(steps)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The engine as installed, with the best CPU variant for this machine."""
    lib = llama_api.api
    if not lib._lib.ggml_backend_reg_count():
        lib._lib.ggml_backend_load_all_from_path(os.fsencode(library_paths.library_folder()))
    llama_api.start()
    return Engine(lib)


def check_decodes(engine: Engine, path: Path) -> None:
    model = engine.load(path)
    assert model, f"the engine refuses {path.name}"
    try:
        tokens = engine.tokenize(model, TEXT)

        assert engine.detokenize(model, tokens).lstrip(" ") == TEXT

        logits = engine.decode(model, tokens, 3)

        assert np.isfinite(logits).all()
        assert 0.1 < logits.std() < 10
    finally:
        engine.lib.llama_model_free(model)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_engine_decodes_every_architecture(engine: Engine, tmp_path: Path, arch: str) -> None:
    check_decodes(engine, write_model(tmp_path / "m.gguf", arch))


@pytest.mark.parametrize("weight_type", WEIGHT_TYPES)
def test_engine_decodes_every_weight_type(engine: Engine, tmp_path: Path, weight_type: str) -> None:
    check_decodes(engine, write_model(tmp_path / "m.gguf", weight_type=weight_type))


@pytest.mark.parametrize("tokenizer", ["bpe", "spm"])
def test_engine_decodes_with_either_tokenizer(
    engine: Engine, tmp_path: Path, tokenizer: str
) -> None:
    check_decodes(engine, write_model(tmp_path / "m.gguf", tokenizer=tokenizer))


@pytest.mark.parametrize("parts", [2, 3])
def test_engine_decodes_a_split_model_as_the_whole(
    engine: Engine, tmp_path: Path, parts: int
) -> None:
    whole = engine.load(write_model(tmp_path / "m.gguf"))
    split = engine.load(split_model(tmp_path / "m.gguf", parts)[0])
    assert whole
    assert split

    assert np.array_equal(engine.decode(whole, [5], 3), engine.decode(split, [5], 3))

    engine.lib.llama_model_free(whole)
    engine.lib.llama_model_free(split)


def test_split_parts_say_what_they_are(tmp_path: Path) -> None:
    parts = split_model(write_model(tmp_path / "m.gguf"), 3)

    assert [part.name for part in parts] == [
        "m-00001-of-00003.gguf",
        "m-00002-of-00003.gguf",
        "m-00003-of-00003.gguf",
    ]
    readers = [gguf.GGUFReader(part) for part in parts]
    assert [reader.fields["split.no"].contents() for reader in readers] == [0, 1, 2]
    total = sum(len(reader.tensors) for reader in readers)
    assert {total} == {reader.fields["split.tensors.count"].contents() for reader in readers}


@pytest.mark.parametrize("make", [truncated, unknown_architecture, vocabulary_only, projector])
def test_engine_refuses(engine: Engine, tmp_path: Path, make: Any) -> None:
    path = make(tmp_path / "m.gguf")

    assert path.stat().st_size
    assert not engine.load(path)


@pytest.mark.parametrize("kind", HOSTILE)
def test_engine_refuses_hostile(engine: Engine, tmp_path: Path, kind: str) -> None:
    assert not engine.load(hostile(tmp_path / "m.gguf", kind))


def test_same_call_same_bytes(tmp_path: Path) -> None:
    first = write_model(tmp_path / "a.gguf", "qwen2", "Q6_K", seed=7).read_bytes()

    assert first == write_model(tmp_path / "b.gguf", "qwen2", "Q6_K", seed=7).read_bytes()
    assert first != write_model(tmp_path / "c.gguf", "qwen2", "Q6_K", seed=8).read_bytes()


def test_metadata_is_as_asked(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", "qwen3", name="Ada", license="Apache-2.0")

    fields = gguf.GGUFReader(path).fields
    assert fields["general.architecture"].contents() == "qwen3"
    assert fields["general.name"].contents() == "Ada"
    assert fields["general.license"].contents() == "Apache-2.0"
    assert fields["tokenizer.chat_template"].contents() == CHATML


@pytest.mark.parametrize("weight_type", [kind for kind in WEIGHT_TYPES if kind.endswith("_K")])
def test_random_blocks_have_the_asked_spread(weight_type: str) -> None:
    blocks = random_blocks(weight_type, 512, 0.05, np.random.default_rng(0))

    values = gguf.dequantize(blocks, gguf.GGMLQuantizationType[weight_type])
    assert values.shape == (512, 256)
    assert abs(float(values.mean())) < 0.002
    assert 0.04 < float(values.std()) < 0.065


def test_big_endian_reads_back(tmp_path: Path) -> None:
    reader = gguf.GGUFReader(big_endian(tmp_path / "m.gguf"))

    assert reader.endianess == gguf.GGUFEndian.BIG
    assert reader.fields["general.architecture"].contents() == "llama"


def test_truncated_lacks_what_was_asked(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole.gguf").read_bytes()

    assert whole[:-1000] == truncated(tmp_path / "m.gguf", 1000).read_bytes()


def test_adapter_says_so(tmp_path: Path) -> None:
    fields = gguf.GGUFReader(adapter(tmp_path / "a.gguf")).fields

    assert fields["general.type"].contents() == "adapter"


def test_other_files_are_no_gguf(tmp_path: Path) -> None:
    for kind in NOT_GGUF:
        assert not_gguf(tmp_path / kind, kind).read_bytes()[:4] != b"GGUF"
