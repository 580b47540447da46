"""Run the engine in this process and say what it costs: `python -m benchmarks.probe WHAT MODEL`.

Prints JSON. In a process of its own, so that every measurement starts from the same state.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.models import prompt
from runtime.host import resources
from runtime.inference.scheduler import Scheduler
from runtime.inference.token_stream import TokenStream
from runtime.model import engine_build, model, model_file
from runtime.model.llama_api import api
from runtime.options.registry import Options
from runtime.weights.stdio_file import RangeFile

SETTLE = 1.0  # seconds for OpenMP's threads to fall asleep
IDLE = 10.0


def load(
    path: Path, *, threads: int, parallel: int = 1, context: int = 512, **more: Any
) -> Scheduler:
    """Return an engine over the model in `path`, greedy."""
    options = Options(
        temp=0.0, ignore_eos=True, n_predict=64, threads=threads, parallel=parallel, **more
    )
    engine_build.start_engine(options)
    source = model_file.open_file(path)
    with RangeFile(source.fd, source.offset) as file:
        loaded = model.Model(source, file, options)
    return Scheduler(loaded, options, context)


def finish(*streams: TokenStream) -> None:
    """Read streams to their end."""
    for stream in streams:
        for _ in stream:
            pass


def words(engine: Scheduler, count: int, start: int = 0) -> list[int]:
    """Return a prompt of `count` tokens; another `start` makes another prompt."""
    text = " ".join(prompt(start + count).split()[start:])
    return engine.model.tokenize(text, beginning=True)[:count]


def together(path: Path, threads: int, sequences: int, reading: int, writing: int) -> Any:
    """Return the tokens/s of several answers at once, as llama-batched-bench counts them."""
    room = sequences * (reading + writing + 1)
    engine = load(path, threads=threads, parallel=sequences, context=room)
    options = dataclasses.replace(engine.options, n_predict=writing)
    finish(engine.submit(words(engine, 4, 5000), dataclasses.replace(options, n_predict=2)))
    prompts = [words(engine, reading, 100 * number) for number in range(sequences)]
    begin = time.perf_counter()
    streams = [engine.submit(tokens, options) for tokens in prompts]
    finish(*streams)
    seconds = time.perf_counter() - begin
    tokens = sum(s.stats.prompt_tokens + s.stats.generated_tokens for s in streams)
    engine.close()
    return {"total": tokens / seconds}


def share(path: Path, threads: int, writing: int) -> Any:
    """Return which part of an answer's time is spent outside of the engine's C functions."""
    inside = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal inside
            begin = time.perf_counter()
            result = function(*arguments)
            inside += time.perf_counter() - begin
            return result

        return call

    engine = load(path, threads=threads)
    options = dataclasses.replace(
        engine.options, n_predict=writing, temp=0.8, seed=1, repeat_penalty=1.1
    )
    finish(engine.submit(words(engine, 8), options))
    api.llama_decode = timed(api.llama_decode)
    api.llama_sampler_sample = timed(api.llama_sampler_sample)
    inside = 0.0
    stream = engine.submit(words(engine, 8, 50), options)
    finish(stream)
    seconds = stream.stats.prompt_seconds + stream.stats.generate_seconds
    engine.close()
    return {"share": 1 - inside / seconds, "per_token_s": (seconds - inside) / writing}


def idle(path: Path, threads: int) -> Any:
    """Return the share of a core that is used while nothing is asked, after an answer."""
    engine = load(path, threads=threads)
    finish(engine.submit(words(engine, 8)))
    time.sleep(SETTLE)
    begin = cpu_seconds()
    time.sleep(IDLE)
    used = cpu_seconds() - begin
    engine.close()
    return {"share": used / IDLE}


def cpu_seconds() -> float:
    """Return what this process has used of all processors, with 10 µs or better resolution."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def growth(path: Path, threads: int, submissions: int) -> Any:
    """Return by how much memory grows over so many submissions, a third of them cancelled."""
    engine = load(path, threads=threads, parallel=4, context=2048)
    dice = random.Random(1)

    def storm(rounds: int) -> None:
        streams: list[TokenStream] = []
        for number in range(rounds):
            options = dataclasses.replace(
                engine.options, temp=0.8, seed=number, n_predict=dice.randint(1, 8)
            )
            tokens = words(engine, dice.randint(2, 40), dice.randrange(600))
            streams.append(engine.submit(tokens, options))
            if dice.random() < 0.33:
                dice.choice(streams).cancel()
            while len(streams) > 8:
                finish(streams.pop(dice.randrange(len(streams))))
        finish(*streams)

    storm(submissions // 5)  # what is allocated once is no growth
    before = resources.memory_use()["anonymous"]
    storm(submissions)
    grown = resources.memory_use()["anonymous"] - before
    engine.close()
    return {"bytes": grown}


def turns(path: Path, threads: int) -> Any:
    """Return how many prompt tokens a second turn computed, and how many of them were new."""
    engine = load(path, threads=threads, context=1024)
    first = words(engine, 200)
    stream = engine.submit(first, dataclasses.replace(engine.options, n_predict=20))
    answer = [token for piece in stream for token in piece.tokens]
    new = words(engine, 30, 300)[1:]
    second = engine.submit([*first, *answer, *new])
    finish(second)
    computed = second.stats.prompt_tokens - second.stats.cached_tokens
    engine.close()
    return {"computed": computed, "new": len(new)}


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(prog="benchmarks.probe", description=__doc__)
    kinds = {f.__name__: f for f in (together, share, idle, growth, turns)}
    parser.add_argument("what", choices=kinds)
    parser.add_argument("model", type=Path)
    parser.add_argument("numbers", type=int, nargs="*", help="threads, and what the kind takes")
    options = parser.parse_args()
    print(json.dumps(kinds[options.what](options.model, *options.numbers)))


if __name__ == "__main__":
    main()
