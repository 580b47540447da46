"""How long the context is, and what needs flash attention, by the produced binary."""

from __future__ import annotations

import re
from pathlib import Path

import ggufs
import pytest
from program import Program
from server_client import get
from servers import serve

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that was trained for a long context; its heads have 16 numbers."""
    shape = ggufs.Shape(context=65_536, heads=16, kv_heads=4, layers=1)
    return ggufs.write_model(tmp_path_factory.mktemp("long") / "long.gguf", shape=shape)


def context(program: Program, model: Path, *flags: str) -> int:
    done = program("-m", str(model), "-n", "1", "--stats", "Hello", *flags)
    assert done.code == 0, done.err
    found = re.search(r"context \d+ of (\d+)", done.err)
    assert found
    return int(found[1])


def test_zero_asks_for_all_that_the_model_was_trained_for(chat: Program, long: Path) -> None:
    assert 32_768 == context(chat, long) == context(chat, long, "-c", "-1")
    assert 65_536 == context(chat, long, "-c", "0")


def test_zero_can_be_baked_in(modelembed: Program, long: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"context_length": 0, "parameters": {"flash_attn": true}}')
    flags = ("--config", str(config), "--no-check", "--compress", "none")
    done = modelembed("bundle", str(long), "-o", str(tmp_path / "whole"), *flags)
    assert done.code == 0, done.err

    with serve(Program(tmp_path / "whole"), "-t", "1") as server:
        assert 65_536 == get(server, "/props")["default_generation_settings"]["n_ctx"]
    with serve(Program(tmp_path / "whole"), "-t", "1", "-c", "-1") as server:
        assert 32_768 == get(server, "/props")["default_generation_settings"]["n_ctx"]


def test_flash_attention_is_asked_for_as_in_llama_cpp(chat: Program) -> None:
    for value in ("on", "1", "enabled", "off", "0", "false", "-1"):
        assert PARIS == chat.ask(FRANCE, "-fa", value)
    for flags in (("-fa",), ("-fa", "On")):
        assert 2 == chat("Hello", *flags).code


def test_a_quantized_cache_without_flash_attention_is_refused_at_once(
    chat: Program, modelembed: Program, tmp_path: Path
) -> None:
    pair = ("-ctv", "q8_0", "-fa", "off")
    serving = ("serve", "--port", "0")
    for command in ((FRANCE,), serving, (*serving, "--workers", "2")):
        done = chat(*command, *pair)
        assert (2, "") == (done.code, done.out)
        assert "values of type q8_0 in the KV cache need flash attention" in done.err
    assert PARIS == chat.ask(FRANCE, "-ctv", "q8_0")

    baked = ("--set", "cache_type_v=q8_0", "--set", "flash_attn=0", "-o", str(tmp_path / "x"))
    assert "need flash attention" in modelembed("edit", str(chat.path), *baked).err


def test_what_is_no_lack_of_memory_is_not_tried_with_less(chat: Program, long: Path) -> None:
    done = chat("-m", str(long), "-c", "2048", "-ctk", "q8_0", "Hello")

    assert 1 == done.code
    assert "a context of 2048 tokens: K cache type q8_0 with block size 32" in done.err
