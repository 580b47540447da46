"""Real engines over the demo model, in a process of their own.

The engine's threads do not survive a fork, and other tests fork; so what is decorated with
`in_child` runs in one child that all of them share.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paths import DEMO, ROOT

from runtime.inference.scheduler import Scheduler
from runtime.model.model import Model
from runtime.options.registry import Options
from runtime.weights.stdio_file import RangeFile

GREEDY = Options(temp=0.0, n_predict=60)
ENDLESS = dataclasses.replace(GREEDY, n_predict=-1, ignore_eos=True)
SECONDS = 120


@functools.cache
def _child() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def in_child(test: Callable[..., None]) -> Callable[..., None]:
    """Let `test` run in the child; its arguments must be plain values."""

    def run(**arguments: Any) -> None:
        _child().submit(_run, test.__module__, test.__name__, arguments).result(SECONDS)

    functools.update_wrapper(run, test)
    run.body = test  # type: ignore[attr-defined]
    return run


def in_own_child(test: Callable[..., None]) -> Callable[..., None]:
    """Let `test` run in a child that nothing else ran in, or will."""

    def run(**arguments: Any) -> None:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            child.submit(_run, test.__module__, test.__name__, arguments).result(SECONDS)

    functools.update_wrapper(run, test)
    run.body = test  # type: ignore[attr-defined]
    return run


def _run(module: str, name: str, arguments: dict[str, Any]) -> None:
    getattr(importlib.import_module(module), name).body(**arguments)


@functools.cache
def started() -> None:
    """Start the engine of this process, once."""
    from runtime.model import engine_build

    engine_build.start_engine(Options())


@functools.cache
def demo(path: Path = DEMO) -> Model:
    """Return the demo model, loaded, or another."""
    from runtime.model import model_file

    started()
    source = model_file.open_file(path)
    with RangeFile(source.fd, source.offset) as file:
        return Model(source, file, Options())


@contextmanager
def engine(
    parallel: int = 1, context: int = 512, path: Path = DEMO, **options: Any
) -> Iterator[Scheduler]:
    """Run an engine over the demo model, or another."""
    made = Scheduler(demo(path), dataclasses.replace(GREEDY, parallel=parallel, **options), context)
    try:
        yield made
    finally:
        made.close()


def question(text: str, *more: str) -> list[int]:
    """Return the tokens of a chat: questions and answers in turn, the last one a question."""
    from runtime.chat_format import chat_template

    model = demo()
    shaped = chat_template.from_text(model.chat_template, bos=model.bos, eos=model.eos)
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": content}
        for number, content in enumerate((text, *more))
    ]
    rendered = shaped.apply(chat_template.TemplateInputs(messages=turns)).text
    if model.adds_bos and model.bos:
        rendered = rendered.removeprefix(model.bos)
    return model.tokenize(rendered, beginning=True)


@functools.cache
def facts() -> list[dict[str, str]]:
    """Return questions that the demo model answers right."""
    document = json.loads((ROOT / "models" / "demo.facts.json").read_text())
    found: list[dict[str, str]] = document["questions"]
    return found
