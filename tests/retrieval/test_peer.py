"""Vectors and scores are those of llama.cpp's own server, where that was built for benchmarks."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import pytest
from encoders import write_encoder
from engines import in_child, started
from real_models import real_embedder

from benchmarks import cache
from runtime.container.text_form import TextForm
from runtime.model.model_file import open_file
from runtime.options.registry import Options

OPTIONS = Options(threads=1)
SECONDS = 60
TEXTS = [
    "When does the museum open?",
    "The exhibition can be visited daily from nine o'clock.",
    "Straßenbahn, café, 京都の紅葉, “quoted” — and 3.14 %",
    "x",
]


@pytest.fixture(scope="module")
def server() -> Path:
    """Return the path of llama-server; it is not built for this alone, which takes long."""
    found = sorted(cache.folder("peers").glob("*/llama-server"))
    if not found:
        pytest.skip("llama-server was not built: python -m benchmarks.peers")
    return found[-1]


@contextlib.contextmanager
def running(server: Path, model: Path, flag: str) -> Iterator[str]:
    """Give the address of the server with a model, while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(server), "-m", str(model), "--port", str(port), "-t", "1", "-ngl", "0", flag]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address, process)
            yield address
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health"):
            return
        time.sleep(0.1)
    if process.poll() == -signal.SIGILL:
        pytest.skip("llama-server was built for another processor")
    raise AssertionError("llama-server does not answer")


def asked(address: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.hypot(*a) / math.hypot(*b)


@in_child
def _compare_vectors(model: Path, texts: list[str], theirs: list[list[float]]) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    embedder = LocalEmbedder(open_file(model), TextForm("mean"), OPTIONS)
    for mine, other in zip(embedder.passages(texts), theirs, strict=True):
        assert cosine(mine, other) == pytest.approx(1, abs=1e-4)
    embedder.close()


@in_child
def _compare_scores(model: Path, question: str, texts: list[str], theirs: list[float]) -> None:
    from runtime.retrieval.ranking import LocalRanker

    started()
    ranker = LocalRanker(open_file(model), OPTIONS)
    assert ranker.scores(question, texts) == pytest.approx(theirs, abs=1e-2)
    ranker.close()


@pytest.mark.parametrize("name", ["minilm", "e5"])
def test_vectors_are_the_peers(server: Path, name: str) -> None:
    model = real_embedder(name)
    with running(server, model, "--embeddings") as address:
        answer = asked(address, "/v1/embeddings", {"input": TEXTS})
    theirs = [one["embedding"] for one in sorted(answer["data"], key=lambda one: one["index"])]
    _compare_vectors(model=model, texts=TEXTS, theirs=theirs)


def test_scores_are_the_peers(server: Path, tmp_path: Path) -> None:
    def separated(writer: gguf.GGUFWriter) -> None:
        writer.add_add_eos_token(True)
        writer.add_add_sep_token(True)
        writer.add_sep_token_id(286)

    templated = "Q: {query}\nD: {document}<|im_end|>"
    for change in (
        lambda writer: None,
        separated,
        lambda writer: writer.add_string("tokenizer.chat_template.rerank", templated),
    ):
        model = write_encoder(tmp_path / "r.gguf", gguf.PoolingType.RANK, change=change)
        with running(server, model, "--reranking") as address:
            body = {"query": TEXTS[0], "documents": TEXTS}
            answer = asked(address, "/v1/rerank", body)["results"]
        theirs = {one["index"]: one["relevance_score"] for one in answer}
        _compare_scores(
            model=model, question=TEXTS[0], texts=TEXTS,
            theirs=[theirs[number] for number in range(len(TEXTS))],
        )  # fmt: skip
