"""The demo model answers right: all its facts, over several turns, in every quantization."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from paths import DEMO
from program import Program

REQUIRED = 0.99
ANEW = "the conversation starts anew"
# llama_ftype of llama.h: what a model is quantized to.
QUANTIZATIONS = {"F32": 0, "Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15, "Q6_K": 18, "BF16": 32}
QUANTIZE = """
import os, sys
from runtime.host.library_paths import library_folder
from runtime.model import llama_api, variant_files
llama_api.load_variant(variant_files.variants(library_folder())["x64"])
parameters = llama_api.api.llama_model_quantize_default_params()
parameters.ftype, parameters.nthread = int(sys.argv[3]), 2
sys.exit(llama_api.api.llama_model_quantize(*map(os.fsencode, sys.argv[1:3]), parameters))
"""


def right(program: Program, questions: list[dict[str, str]]) -> float:
    """Return the share of questions answered right, each in a conversation of its own."""
    typed = "".join(f"{fact['question']}\n/clear\n" for fact in questions)
    done = program("-i", stdin=typed)
    assert done.code == 0, done.err
    answers = done.out.split(f"{ANEW}\n")[:-1]
    assert len(questions) == len(answers)
    pairs = zip(questions, answers, strict=True)
    return sum(answer == f"{fact['answer']}\n" for fact, answer in pairs) / len(questions)


def test_it_knows_its_facts(chat: Program, facts: dict[str, list[dict[str, str]]]) -> None:
    assert right(chat, facts["questions"]) >= REQUIRED


@pytest.mark.parametrize("name", ["Ada", "Grace", "Linus"])
def test_it_remembers_names_it_was_not_trained_on(chat: Program, name: str) -> None:
    lines = [f"My name is {name}.", "What is the capital of Peru?", "What is my name?"]
    done = chat("-i", stdin="\n".join(lines))

    assert f"Your name is {name}." in done.out


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_it_is_right_in_every_quantization(
    name: str,
    modelembed: Program,
    facts: dict[str, list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    model = tmp_path / "demo.gguf"
    subprocess.run(
        [sys.executable, "-c", QUANTIZE, DEMO, model, str(QUANTIZATIONS[name])], check=True
    )
    for compression in ("none", "zstd"):
        target = tmp_path / compression
        done = modelembed(
            "bundle", str(model), "-o", str(target), "--compress", compression, "--no-check",
            "--set", "temp=0",
        )  # fmt: skip
        assert done.code == 0, done.err
        assert right(Program(target), facts["questions"][::25]) >= REQUIRED
