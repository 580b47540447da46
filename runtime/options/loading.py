"""Options of loading and running a model: context, threads, memory, adapters."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True)
class LoadingOptions:
    """How the model is loaded and computed."""

    ctx_size: int = option(
        0,
        "--ctx-size",
        "-c",
        low=0,
        metavar="N",
        help="tokens of context, 0 for the model's own, up to 4096, or less where memory is short",
        aliases=("context_length", "n_ctx", "num_ctx"),
    )
    batch_size: int = option(
        512,
        "--batch-size",
        "-b",
        low=1,
        high=1 << 16,
        metavar="N",
        help="prompt tokens computed at once",
        aliases=("n_batch",),
    )
    threads: int = option(
        0,
        "--threads",
        "-t",
        low=0,
        high=1024,
        metavar="N",
        help="threads to compute with, 0 for the physical cores this process may use",
        aliases=("n_threads",),
    )
    threads_batch: int = option(
        0,
        "--threads-batch",
        "-tb",
        low=0,
        high=1024,
        metavar="N",
        help="threads for the prompt, 0 for the same as -t",
    )
    parallel: int = option(
        1,
        "--parallel",
        "-np",
        low=1,
        high=256,
        metavar="N",
        help="answers computed at once, sharing the context; beside running ones 64 tokens a step "
        "are read for each new prompt",
        aliases=("n_parallel",),
    )
    gpu_layers: int = option(
        0,
        "--gpu-layers",
        "-ngl",
        "--n-gpu-layers",
        low=-1,
        metavar="N",
        help="layers to put on a GPU, where this build has support for one",
        aliases=("n_gpu_layers",),
    )
    cache_prompt: bool = option(
        True, "--cache-prompt", help="keep what was computed, and compute no beginning twice"
    )
    fit: bool = option(True, "--fit", help="check memory first, and shrink the context to fit")
    repack: bool = option(True, "--repack", help="rearrange weights for faster prompts")
    mmap: bool = option(True, "--mmap", help="map the weights instead of reading them")
    memfd: bool = option(
        True, "--memfd", help="restore a compressed model in memory, not in a temporary file"
    )
    lora: str = option(
        "",
        "--lora",
        metavar="NAME[=SCALE],…",
        help="adapters to use: parts of this file or GGUF files, each with its strength "
        "(default: all parts, at 1); none for none",
    )
    cache: bool = option(
        False, "--cache", help="keep a compressed model unpacked on disk, for the next start"
    )
    cache_size: float = option(
        20.0,
        "--cache-size",
        low=0,
        metavar="GB",
        help="most that all models kept by --cache may take",
    )
    cpu: str = option(
        "",
        "--cpu",
        metavar="NAME",
        help="use this CPU variant instead of the best that works (see info)",
    )
