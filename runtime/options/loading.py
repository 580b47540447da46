"""The options of the engine: how it loads the model, and what it computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import UsageError
from runtime.options.spec import option

FLOAT_TYPES = ("f32", "f16", "bf16")
CACHE_TYPES = (*FLOAT_TYPES, "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""The types that llama.cpp can keep the KV cache in."""
SWITCH_SPELLINGS = {
    **dict.fromkeys(("enabled", "true", "1"), "on"),
    **dict.fromkeys(("disabled", "false", "0"), "off"),
    "-1": "auto",
}
"""What llama.cpp takes for on, off and auto as well."""
AUTOMATIC = -1
"""The context size that neither user nor bundle has asked for: as much as is sensible."""

AUTO_LAYERS, ALL_LAYERS, NO_LAYERS = -2, -1, 0
LAYER_WORDS = {"auto": AUTO_LAYERS, "all": ALL_LAYERS}


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class LoadingOptions:
    """How to load the model; flags and defaults are llama.cpp's, where it has them."""

    ctx_size: int = option(
        AUTOMATIC,
        "--ctx-size",
        "-c",
        low=AUTOMATIC,
        metavar="N",
        help="context size in tokens, 0 for all that the model was trained for, -1 for what of it "
        "fits into memory: at most 32768, and with LongRoPE at most the original context",
        aliases=("context_length", "n_ctx", "num_ctx"),
    )
    batch_size: int = option(
        512,
        "--batch-size",
        "-b",
        low=1,
        high=1 << 16,
        metavar="N",
        help="batch size: number of prompt tokens processed at once",
        aliases=("n_batch",),
    )
    threads: int = option(
        0,
        "--threads",
        "-t",
        low=0,
        high=1024,
        metavar="N",
        help="number of CPU threads, 0 for one per physical core available to this process",
        aliases=("n_threads",),
    )
    threads_batch: int = option(
        0,
        "--threads-batch",
        "-tb",
        low=0,
        high=1024,
        metavar="N",
        help="number of threads for prompt processing, 0 for the same as --threads",
    )
    parallel: int = option(
        1,
        "--parallel",
        "-np",
        low=1,
        high=256,
        metavar="N",
        help="number of answers generated in parallel; they share the context, and each new "
        "prompt is read 64 tokens per step while others are being generated",
        aliases=("n_parallel",),
    )
    gpu_layers: int = option(
        AUTO_LAYERS,
        "--gpu-layers",
        "-ngl",
        "--n-gpu-layers",
        low=AUTO_LAYERS,
        metavar="N",
        words=LAYER_WORDS,
        help="number of layers to keep on GPUs; auto for what fits into their free memory, all "
        "(or -1) for all, 0 to compute on the processor alone",
        aliases=("n_gpu_layers",),
    )
    device: str = option(
        "",
        "--device",
        "-dev",
        metavar="NAME,…",
        help="GPUs to use, by names that doctor shows (Vulkan0) or parts of their makers' names; "
        "none for no GPU (default: those that are not the processor's own, else the first)",
    )
    main_gpu: int = option(
        0,
        "--main-gpu",
        "-mg",
        low=0,
        metavar="N",
        help="the GPU that gets the whole model with --split-mode none, by its place among those "
        "used",
    )
    split_mode: str = option(
        "layer",
        "--split-mode",
        "-sm",
        choices=("none", "layer"),
        help="spread the layers over all GPUs used, or keep them on one",
    )
    tensor_split: str = option(
        "",
        "--tensor-split",
        "-ts",
        metavar="N0,N1,…",
        help="how much of the model each GPU gets, as proportions: 3,1 (default: as memory is "
        "free)",
    )
    cache_type_k: str = option(
        "f16",
        "--cache-type-k",
        "-ctk",
        choices=CACHE_TYPES,
        help="type of the keys in the KV cache; q8_0 takes half the memory of f16",
    )
    cache_type_v: str = option(
        "f16",
        "--cache-type-v",
        "-ctv",
        choices=CACHE_TYPES,
        help="type of the values in the KV cache; a quantized one needs flash attention",
    )
    flash_attn: str = option(
        "auto",
        "--flash-attn",
        "-fa",
        choices=("on", "off", "auto"),
        spellings=SWITCH_SPELLINGS,
        help="flash attention",
    )
    cache_prompt: bool = option(
        True, "--cache-prompt", help="reuse the KV cache for prompts that start the same way"
    )
    fit: bool = option(
        True, "--fit", help="check the available memory first, and reduce the context to fit"
    )
    repack: bool = option(
        True,
        "--repack",
        help="repack weights for faster prompt processing (default: unless it costs one answer "
        "more time than it saves, or there are several --workers)",
    )
    mmap: bool = option(
        True, "--mmap", help="memory-map the model instead of reading it into memory"
    )
    memfd: bool = option(
        True, "--memfd", help="decompress a compressed model in memory, not in a temporary file"
    )
    lora: str = option(
        "",
        "--lora",
        metavar="NAME[=SCALE],…",
        help="LoRA adapters to apply: names of embedded ones, or GGUF files (default: all "
        "embedded ones, with scale 1); 'none' for none",
    )
    mmproj: str = option(
        "",
        "--mmproj",
        "-mm",
        baked=False,
        metavar="FILE",
        help="multimodal projector (GGUF), by which the model takes pictures or sound (default: "
        "the one in the model's file)",
    )
    mmproj_auto: bool = option(
        True,
        "--mmproj-auto",
        help="use the projector in the model's file; --no-mmproj leaves it out, for its memory",
    )
    cache: bool = option(
        False,
        "--cache",
        help="keep the decompressed model on disk, for faster starts (if it is compressed)",
    )
    cache_size: float = option(
        20.0,
        "--cache-size",
        low=0,
        metavar="GB",
        help="maximum total size of the models kept by --cache",
    )
    device_timeout: int = option(
        300,
        "--device-timeout",
        low=1,
        high=86_400,
        metavar="N",
        help="seconds after which a GPU that computes is taken for broken",
    )
    rpc: str = option(
        "",
        "--rpc",
        metavar="HOST:PORT,…",
        help="other machines to spread the layers over, by what each has free; there, start this "
        "program's command worker",
    )
    rpc_timeout: int = option(
        600,
        "--rpc-timeout",
        low=1,
        high=86_400,
        metavar="N",
        help="seconds after which a machine of --rpc that computes is taken for lost",
    )
    cpu: str = option(
        "",
        "--cpu",
        metavar="NAME",
        help="CPU variant of the engine to use, listed by info (default: the best that works here)",
    )
    sandbox: bool = option(
        True,
        "--sandbox",
        help="once the model is loaded, give up files, network and other programs",
    )
    verbose: bool = option(False, "--verbose", "-v", baked=False, help="print the engine's log")


def require_possible(values: Mapping[str, Any]) -> None:
    """Raise UsageError if the engine cannot do what the options in `values` ask for together.

    They are options by name, not necessarily all of them.
    """
    kind = values.get("cache_type_v", "f16")
    if values.get("flash_attn") == "off" and kind not in FLOAT_TYPES:
        raise UsageError(
            f"values of type {kind} in the KV cache need flash attention, which is off",
            hint="leave out one of them, -ctv or -fa off, or keep the values as one of: "
            + ", ".join(FLOAT_TYPES),
        )
