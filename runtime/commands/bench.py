"""Benchmark of prompt processing and generation speed, with output like llama-bench."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable
from typing import Any

from runtime import __version__
from runtime.dialogue.loaded_model import LoadedModel
from runtime.host import resources
from runtime.inference.scheduler import Scheduler
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options
from runtime.sanitize import plain
from runtime.units import amount, gigabytes

SPARE_TOKENS = 8  # tokens of context in addition to those measured
MIN_CONTEXT = 256  # the engine's smallest context


def run(
    source: ModelFile,
    options: Options,
    *,
    prompt: int,
    answer: int,
    repetitions: int,
    as_json: bool,
    notify: Callable[[str], None],
) -> None:
    """Load `source` and print the speed of `prompt` prompt tokens and `answer` generated ones."""
    loaded = LoadedModel(
        source, dataclasses.replace(options, ctx_size=context(prompt, answer)), notify
    )
    try:
        rows = []
        tests = (("pp", prompt, measure_prompt), ("tg", answer, measure_generation))
        for kind, tokens, measure in tests:
            if tokens:
                measure(loaded.scheduler, tokens)  # warm-up: the first run includes page faults
                samples = [measure(loaded.scheduler, tokens) for _ in range(repetitions)]
                rows.append(_row(loaded, kind, tokens, samples))
        print(json.dumps(rows, indent=1) if as_json else table(rows))
    finally:
        loaded.close()


def context(prompt: int, answer: int) -> int:
    """Return the context size in tokens that both tests need."""
    return max(prompt + SPARE_TOKENS, answer + SPARE_TOKENS, MIN_CONTEXT)


def measure_prompt(engine: Scheduler, count: int) -> float:
    """Return tokens per second for a random prompt of `count` tokens, none of them cached."""
    dice = random.Random()
    tokens = [dice.randrange(engine.model.vocab_size) for _ in range(count)]
    stream = engine.submit(
        tokens, dataclasses.replace(engine.options.without_constraints(), n_predict=0)
    )
    for _ in stream:
        pass
    stats = stream.stats
    return (stats.prompt_tokens - stats.cached_tokens) / stats.prompt_seconds


def measure_generation(engine: Scheduler, count: int) -> float:
    """Return tokens per second for generating `count` tokens."""
    options = dataclasses.replace(
        engine.options.without_constraints(),
        n_predict=count + 1,
        ignore_eos=True,
        stop=(),
        stop_token_ids=(),
    )
    stream = engine.submit([random.Random().randrange(engine.model.vocab_size)], options)
    for _ in stream:
        pass
    # The first token belongs to the prompt's time, so one more is generated than measured.
    return (stream.stats.generated_tokens - 1) / stream.stats.generate_seconds


def _row(loaded: LoadedModel, kind: str, tokens: int, samples: list[float]) -> dict[str, Any]:
    header = loaded.file.header
    mean = math.fsum(samples) / len(samples)
    squares = math.fsum((sample - mean) ** 2 for sample in samples)
    deviation = math.sqrt(squares / max(1, len(samples) - 1))
    return {
        "test": f"{kind}{tokens}",
        "modelembed": __version__,
        "cpu_info": resources.cpu_name(),
        "cpu_variant": loaded.variant.name,
        "backends": ",".join(loaded.engine.ways) if loaded.devices else "CPU",
        "gpu_info": loaded.devices,
        "model_type": str(header.metadata.get("general.name") or header.architecture),
        "model_size": loaded.file.size,
        "model_n_params": loaded.model.parameters,
        "n_batch": loaded.options.batch_size,
        "n_threads": loaded.scheduler.threads,
        "n_prompt": tokens if kind == "pp" else 0,
        "n_gen": tokens if kind == "tg" else 0,
        "avg_ts": mean,
        "stddev_ts": deviation,
        "samples_ts": samples,
        "restore_s": loaded.timing.restore_s,
        "load_s": loaded.timing.load_s,
        "memory": resources.memory_use(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows in llama-bench's table format, and the cost of loading."""
    if not rows:
        return "nothing was measured"
    heads = ("model", "size", "params", "backend", "threads", "test", "t/s")
    cells = [
        (
            plain(row["model_type"]),
            gigabytes(row["model_size"]),
            amount(row["model_n_params"]),
            f"{row['backends']} {row['gpu_info'].partition(' by ')[0] or row['cpu_variant']}",
            str(row["n_threads"]),
            row["test"],
            f"{row['avg_ts']:.2f} ± {row['stddev_ts']:.2f}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [heads, tuple("-" * width for width in widths), *cells]
    text = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    ]
    last = rows[-1]
    memory = last["memory"]
    held = memory.get("anonymous", 0) + memory.get("shmem", 0)
    loaded = f"loaded in {last['load_s']:.2f} s"
    if last["restore_s"]:
        loaded = f"unpacked in {last['restore_s']:.2f} s, {loaded}"
    mapped = f"{gigabytes(memory.get('file', 0))} mapped from files" if memory else ""
    return "\n".join(
        [
            *text,
            "",
            f"{loaded} · memory {gigabytes(held)} of its own, {mapped} · {last['cpu_info']}",
        ]
    )
