"""Write the trained model as a GGUF."""

import json
from collections.abc import Iterator
from pathlib import Path

import gguf
import torch
from tokenizers import Tokenizer
from torch import Tensor

import gguf_file
from network import Network
from vocabulary import END_OF_TEXT, SPECIAL_TOKENS, TURN_END

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
DESCRIPTION = (
    "A very small chat model that knows capital cities and a little about modelembed, and that "
    "remembers your name. Made to try modelembed with, and to test it."
)


def tensors(network: Network) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors under their names in a GGUF; training knows no weights for the norms."""
    shape = network.shape
    heads = (shape.head_count, shape.head_count_kv, shape.head_count_kv)
    ones = torch.ones(shape.embedding_length)
    weights = network.state_dict()
    yield "token_embd.weight", weights["token_embd.weight"]
    for index in range(shape.block_count):
        ours, theirs = f"blocks.{index}", f"blk.{index}"
        qkv = weights[f"{ours}.attn.qkv.weight"].split([n * shape.head_length for n in heads])
        gate, up = weights[f"{ours}.ffn.gate_up.weight"].chunk(2)
        yield f"{theirs}.attn_norm.weight", ones
        yield f"{theirs}.attn_q.weight", qkv[0]
        yield f"{theirs}.attn_k.weight", qkv[1]
        yield f"{theirs}.attn_v.weight", qkv[2]
        yield f"{theirs}.attn_output.weight", weights[f"{ours}.attn.output.weight"]
        yield f"{theirs}.ffn_norm.weight", ones
        yield f"{theirs}.ffn_gate.weight", gate
        yield f"{theirs}.ffn_up.weight", up
        yield f"{theirs}.ffn_down.weight", weights[f"{ours}.ffn.down.weight"]
    yield "output_norm.weight", ones


def write_gguf(network: Network, tokenizer: Tokenizer, path: Path) -> None:
    """Write the matrices in F16 and the norms in F32."""
    writer = gguf.GGUFWriter(path, "llama")
    gguf_file.add_origin(
        writer, network, gguf.GGUFType.MODEL, DESCRIPTION,
        tags=["text-generation", "demo", "test"], languages=["en"],
    )  # fmt: skip
    _add_shape(writer, network)
    _add_tokenizer(writer, tokenizer)
    gguf_file.finish(writer, tensors(network))


def _add_shape(writer: gguf.GGUFWriter, network: Network) -> None:
    shape = network.shape
    writer.add_vocab_size(shape.vocab_size)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.embedding_length)
    writer.add_block_count(shape.block_count)
    writer.add_feed_forward_length(shape.feed_forward_length)
    writer.add_head_count(shape.head_count)
    writer.add_head_count_kv(shape.head_count_kv)
    writer.add_rope_dimension_count(shape.head_length)
    writer.add_rope_freq_base(shape.rope_freq_base)
    writer.add_layer_norm_rms_eps(shape.rms_epsilon)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    types = [
        gguf.TokenType.CONTROL if token in SPECIAL_TOKENS else gguf.TokenType.NORMAL
        for token in tokens
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(tokens.index(END_OF_TEXT))
    writer.add_eos_token_id(tokens.index(TURN_END))
    writer.add_eot_token_id(tokens.index(TURN_END))
    writer.add_pad_token_id(tokens.index(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
