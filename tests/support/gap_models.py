"""Write tiny models with random weights that fill in what is missing between two texts."""

from __future__ import annotations

from pathlib import Path

import gguf
from ggufs import write_model

TOKENS = {"fim_pre": 280, "fim_suf": 281, "fim_mid": 282}
FILES = {"fim_rep": 283, "fim_sep": 284}
"""Tokens of what is around a gap, and of other files; they are words elsewhere."""


def write_gap_model(path: Path, *, files: bool = True) -> Path:
    """Write a model with the tokens, those for other `files` as well; return `path`."""

    def change(writer: gguf.GGUFWriter) -> None:
        for name, token in {**TOKENS, **(FILES if files else {})}.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)

    return write_model(path, "llama", "Q8_0", name="Gaps", change=change)
