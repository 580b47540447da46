"""A model that says one of several texts word for word: that whose cue the prompt has.

Other than a parrot, it needs not know how long the prompt is, so that any client may ask it. One
block of a llama: its attention is even, so that it tells which cues there are. Answers are cut into
tokens of which each occurs only once, so that a token alone tells the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from ggufs import byte_symbol, finish
from parrot import END, MERGED

WIDTH, HEAD, POSITIONS = 2048, 64, 16384
LOUDEST = 6
"""How many ranks there may be: the engine keeps what it attends to in 16 bits."""
TOLD = 1e6
"""How much more a token of an answer counts than all cues."""


def cue(name: str) -> str:
    """Return what must be in a prompt for the text `name` to be said."""
    return f"<|say {name}|>"


def write(path: Path, *ranks: Mapping[str, str], template: str, positions: int = POSITIONS) -> Path:
    """Write a model that says these texts, by their names; return `path`.

    Where a prompt has several cues, that of the later rank counts.
    """
    if len(ranks) > LOUDEST:
        raise ValueError("too many ranks")
    texts = {name: text for rank in ranks for name, text in rank.items()}
    taken: set[bytes] = set()
    answers = {name: _cut(text.encode(), taken) for name, text in texts.items()}
    pieces = [piece for answer in answers.values() for piece in answer]
    if len(texts) > HEAD or len(pieces) > WIDTH - HEAD:
        raise ValueError(f"{len(texts)} texts of {len(pieces)} tokens are too many")

    octets = [*range(256), MERGED]
    specials = [*map(cue, texts), END]
    size = len(octets) + len(pieces) + len(specials)
    first_piece, first_cue, end = len(octets), size - len(specials), size - 1
    embedding, output = np.zeros((2, size, WIDTH), np.float32)
    value = np.zeros((HEAD, WIDTH), np.float32)
    token = first_piece
    for number, (name, answer) in enumerate(answers.items()):
        rank = next(place for place, rank in enumerate(ranks) if name in rank)
        embedding[first_cue + number, number] = 1
        value[number, number] = 4.0**rank / 8
        place = number
        for _ in answer:
            output[token, place] = 1
            place = HEAD + token - first_piece
            embedding[token, place] = TOLD
            token += 1
        output[end, place] = 1

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("repertoire")
    writer.add_context_length(positions)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HEAD)
    writer.add_head_count(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_chat_template(template)
    symbols = [*map(_symbols, map(bytes, ([byte] for byte in range(256)))), _symbols(bytes(MERGED))]
    kinds = [gguf.TokenType.NORMAL] * first_cue + [gguf.TokenType.CONTROL] * len(specials)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*symbols, *map(_symbols, pieces), *specials])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(map(byte_symbol, MERGED))])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    for name, shape in {
        "blk.0.attn_q.weight": (HEAD, WIDTH),
        "blk.0.attn_k.weight": (HEAD, WIDTH),
        "blk.0.ffn_norm.weight": (WIDTH,),
        "blk.0.ffn_gate.weight": (HEAD, WIDTH),
        "blk.0.ffn_up.weight": (HEAD, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, HEAD),
    }.items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("blk.0.attn_v.weight", value)
    writer.add_tensor("blk.0.attn_output.weight", np.eye(WIDTH, HEAD, dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    return finish(writer, path)


def _cut(text: bytes, taken: set[bytes]) -> list[bytes]:
    """Return the text in pieces that are not `taken` yet, as short ones as there are."""
    pieces: list[bytes] = []
    start = 0
    while start < len(text):
        ends = range(start + 2, len(text) + 1)
        end = next((end for end in ends if text[start:end] not in taken), 0)
        if end:
            pieces.append(text[start:end])
            taken.add(pieces[-1])
            start = end
        elif pieces:  # what is left goes with the piece before it
            start -= len(pieces.pop())
        else:
            raise ValueError(f"{text.decode()!r} is a part of another text")
    return pieces


def _symbols(text: bytes) -> str:
    return "".join(map(byte_symbol, text))
