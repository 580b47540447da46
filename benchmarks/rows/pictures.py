"""Pictures: what a model waits for that sees, and what a program that could see costs without."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks import models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, interleave, run
from benchmarks.report import Row
from benchmarks.rows.serve import llama_server, serving
from benchmarks.servers import served
from tests.support.drawings import png

SIDE = 448
"""Pixels of a side of each picture."""
QUESTION = models.prompt(8)


def measure(lab: Lab) -> list[Row]:
    """Compare with `llama-server` of the same commit, and a start with one without a projector."""
    return [*first_tokens(lab), start(lab)]


def first_tokens(lab: Lab) -> Iterator[Row]:
    """Compare how long a client waits for the first token after a picture that nobody has seen."""
    model = lab.model("250m-q8_0")
    projector = models.projector(small=lab.small)
    bundle = lab.bundle(model, "--compress", "none", "--mmproj", str(projector))
    peer = [*llama_server(lab, model), "--mmproj", projector]
    flags = ["-np", 1, "-c", 2048, *([] if lab.repack else ["-nr"])]
    with served([*serving(lab, bundle), *flags]) as own, served([*peer, *flags]) as other:
        figures = interleave(lab.rounds(7), asking(own), asking(other))
    name = "first token after a picture, ViT-B, 250M" + ("" if lab.repack else ", both -nr")
    yield Row(name, "s", *figures, "llama-server", 1.0)


def start(lab: Lab) -> Row:
    """Compare a question without a picture, of a program with a projector and one without."""
    model = lab.model("250m-q8_0")
    projector = models.projector(small=lab.small)
    seeing = lab.bundle(model, "--compress", "none", "--mmproj", str(projector))
    blind = lab.bundle(model, "--compress", "none", "--mmproj", "none")
    commands = [lab.generate(program, "Hello", 1) for program in (seeing, blind)]
    figures = interleave(
        lab.rounds(21), lambda: run(commands[0]).seconds, lambda: run(commands[1]).seconds
    )
    return Row("one token without a picture", "s", *figures, "without a projector", 1.02)


def asking(port: int) -> Callable[[], float]:
    """Return a function that asks about another picture each time, and gives the seconds."""
    numbers = itertools.count()

    def ask() -> float:
        seed = next(numbers)
        noise = np.random.default_rng(seed).integers(0, 255, (SIDE // 8, SIDE // 8, 3), np.uint8)
        picture = base64.b64encode(png(noise.repeat(8, 0).repeat(8, 1))).decode()
        parts = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
            {"type": "text", "text": QUESTION},
        ]
        body = {"messages": [{"role": "user", "content": parts}], "max_tokens": 1}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        begin = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", json.dumps(body),
                           {"Content-Type": "application/json"})  # fmt: skip
        response = connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - begin
        connection.close()
        if response.status != 200:
            raise BenchmarkError(f"status {response.status}: {answer!r}")
        return seconds

    return ask
