"""CPU probe: a tiny model whose logits every CPU variant must compute like the plainest does.

It is made, not stored: random weights from a fixed seed, one tensor of every kind of kernel that
real models use. Its logits by the plainest variant travel with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundler.engine.wheels import VERSION
from bundler.stub import emulated_probe, emulator
from bundler.targets import Target, here
from runtime.errors import AppError
from runtime.model import cpu_variants, variant_files

WIDTH = 256  # the block size of the K-quants
VOCABULARY = 256
# Which weights are stored how: every format that CPU backends have special kernels for.
TYPES = {
    "token_embd.weight": "F16",
    "output.weight": "Q6_K",
    "blk.0.attn_q.weight": "Q4_K",
    "blk.0.attn_k.weight": "Q8_0",
    "blk.0.attn_v.weight": "Q6_K",
    "blk.0.attn_output.weight": "Q5_K",
    "blk.0.ffn_gate.weight": "Q4_0",
    "blk.0.ffn_up.weight": "Q4_K",
    "blk.0.ffn_down.weight": "BF16",
    "blk.1.attn_q.weight": "Q4_0",
    "blk.1.attn_k.weight": "Q2_K",
    "blk.1.attn_v.weight": "F32",
    "blk.1.attn_output.weight": "Q3_K",
    "blk.1.ffn_gate.weight": "IQ4_NL",
    "blk.1.ffn_up.weight": "Q8_0",
    "blk.1.ffn_down.weight": "F16",
}


def write_model(path: Path) -> None:
    """Write the probe model to `path`; the same bytes every time."""
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter

    random = np.random.default_rng(20261121)
    writer = GGUFWriter(str(path), "llama")
    writer.add_name("modelembed probe")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // 4)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([byte_symbol(byte) for byte in range(VOCABULARY)])
    writer.add_token_types([1] * VOCABULARY)
    writer.add_token_merges(["a b"])  # the loader insists on one
    for name in ("output_norm.weight", *(
        f"blk.{i}.{kind}_norm.weight" for i in (0, 1) for kind in ("attn", "ffn")
    )):  # fmt: skip
        writer.add_tensor(name, np.ones(WIDTH, np.float32))
    for name, type_name in TYPES.items():
        weights = random.standard_normal((WIDTH, WIDTH), np.float32) / np.float32(WIDTH**0.5)
        kind = GGMLQuantizationType[type_name]
        data = quantized(weights, kind)
        if type_name == "F32":
            writer.add_tensor(name, weights)
        elif type_name == "F16":
            writer.add_tensor(name, weights.astype(np.float16))
        else:
            writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def byte_symbol(byte: int) -> str:
    """Return the character that stands for a byte in byte-level BPE (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [b for b in range(256) if b not in printable].index(byte))


def quantized(weights: object, kind: int) -> Any:
    """Return a matrix quantized to ggml's type `kind`, by ggml: gguf-py knows only some of them.

    Both are arrays of numpy's, of floats by rows and of bytes.
    """
    import ctypes

    import numpy as np
    from gguf.quants import quant_shape_to_byte_shape

    from runtime.host.library_paths import library_folder

    library = ctypes.CDLL(str(library_folder() / "libggml-base.so"))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = (
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_int64, ctypes.c_void_p,
    )  # fmt: skip
    array = np.ascontiguousarray(weights, np.float32)
    out = np.zeros(quant_shape_to_byte_shape(array.shape, kind), np.uint8)
    library.ggml_quantize_chunk(
        int(kind), array.ctypes.data, out.ctypes.data, 0, array.shape[0], array.shape[1], None
    )
    return out


def write(folder: Path, engine: Path, identity: str) -> None:
    """Write probe model, reference logits and the build's identity into `folder`.

    The logits are this machine's, computed by the `engine` for it: others must come to the same.
    """
    folder.mkdir(parents=True)
    write_model(folder / cpu_variants.PROBE_MODEL)
    machine = here()
    assert machine is not None, "there is an engine for it"
    reference = _logits(engine, machine.plainest, folder)
    if cpu_variants.compare(reference, reference):
        raise AppError(
            f"the engine's {machine.plainest} variant cannot compute the probe model",
            hint="build the engine again: python -m bundler.engine",
        )
    (folder / cpu_variants.PROBE_LOGITS).write_bytes(reference)
    (folder / "build.json").write_text(json.dumps({"id": identity, "engine": VERSION}))


def _logits(engine: Path, variant: str, folder: Path) -> bytes:
    """Compute the probe in a process of its own, since an engine keeps its first variant."""
    code = (
        "import sys, pathlib; from runtime.model import cpu_variants; "
        "variant, model = map(pathlib.Path, sys.argv[1:]); "
        "sys.stdout.buffer.write(cpu_variants.logits(variant, model))"
    )
    path = variant_files.variants(engine)[variant]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(folder / cpu_variants.PROBE_MODEL)],
        capture_output=True,
        check=False,
    )
    return done.stdout if not done.returncode else b""


def prove(
    folder: Path, engine: Path, say: Callable[[str], None], target: Target | None = None
) -> dict[str, str]:
    """Prove the variants in `engine` that can be run here; return those that fail, and how.

    They are this machine's, or those of another `target`, whose processors are emulated.
    """
    verdicts: dict[str, str] = {}
    if target is None or target.is_here:
        verdicts, where = _proved_here(folder, engine), "on this processor"
    elif emulation := emulator.find(target):
        say(f"stub: trying the CPU variants under {target.emulator}; usually half a minute")
        verdicts = emulated_probe.verdicts(emulation, folder, engine, say)
        where = f"under {target.emulator}"
        if failure := verdicts.get(target.plainest):
            raise AppError(
                f"the engine's {target.plainest} variant fails under {target.emulator}: {failure}",
                hint="every processor should run it: build the engine again",
            )
    else:
        say(f"stub: no CPU variant can be tried here without {emulator.missing(target)}")
    if right := [name for name, failure in verdicts.items() if not failure]:
        say(f"stub: proved {where}: {', '.join(right)}")
    if untried := sorted(set(variant_files.variants(engine)) - set(verdicts)):
        say(f"stub: not runnable here, proved on first use: {', '.join(untried)}")
    return {name: failure for name, failure in verdicts.items() if failure}


def _proved_here(folder: Path, engine: Path) -> dict[str, str]:
    """Return how each variant that this machine can run has failed, "" if not."""
    code = (
        "import json, sys, pathlib; from runtime.model import cpu_variants, variant_files; "
        "engine, probe = map(pathlib.Path, sys.argv[1:]); "
        "found = variant_files.variants(engine); scores = cpu_variants.scores(found); "
        "tried = {n: p for n, p in found.items() if scores.get(n)}; "
        "print(json.dumps({n: cpu_variants.prove(p, probe) for n, p in tried.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(engine), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    verdicts: dict[str, str] = json.loads(done.stdout)
    return verdicts
