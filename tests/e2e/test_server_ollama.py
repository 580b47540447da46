"""What speaks Ollama's protocol without its client: lines of JSON, errors, reasoning, vectors."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from encoders import write_encoder
from parrots import Flock
from program import Program
from server_client import FRANCE, asked, call, get, post, until
from servers import Served, serve

PARIS = "The capital of France is Paris."


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "2", "--system", "You know capitals.") as running:
        yield running


def head(server: Served, path: str) -> int:
    """Return the status of what has no body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("HEAD", path)
    status = connection.getresponse().status
    connection.close()
    return status


def lines(server: Served, path: str, body: dict[str, Any]) -> list[Any]:
    """Return the lines of a stream."""
    status, headers, text = call(server, "POST", path, body)
    assert (200, "application/x-ndjson; charset=utf-8") == (status, headers["content-type"])
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_stream_is_lines_of_json(server: Served) -> None:
    parts = lines(server, "/api/chat", asked(model="x"))
    assert PARIS == "".join(part["message"]["content"] for part in parts)
    assert ["x"] * len(parts) == [part["model"] for part in parts]
    last = parts[-1]
    assert {"model", "created_at", "message", "done", "done_reason", "total_duration",
            "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count",
            "eval_duration"} == last.keys()  # fmt: skip
    assert all("total_duration" not in part for part in parts[:-1])
    assert PARIS == post(server, "/api/chat", asked(stream=False))["message"]["content"]


def test_the_system_prompt_is_the_servers_unless_another_is_given(server: Served) -> None:
    def size(**fields: Any) -> int:
        body = {"prompt": FRANCE, "stream": False, **fields}
        return int(post(server, "/api/generate", body)["prompt_eval_count"])

    own, none, other = size(), size(system=""), size(system="Be as brief as you ever can be, yes.")
    assert none < own < other
    whole = post(server, "/v1/chat/completions", asked())["usage"]["prompt_tokens"]
    assert own == whole
    first = post(server, "/api/generate", {"prompt": FRANCE, "stream": False})
    assert size(context=first["context"]) == len(first["context"]) + none


def test_errors_are_one_text(server: Served) -> None:
    for path, body, status, words in (
        ("/api/chat", {"messages": [{"role": "king"}]}, 400, "invalid enum value 'king'"),
        ("/api/chat", {"messages": 5}, 400, "'messages': expected an array, got an integer"),
        ("/api/generate", {"prompt": "a", "template": "{{ .Prompt }}"}, 400, "'template' is not"),
        ("/api/generate", {"prompt": "a", "context": [10**6]}, 400, "1000000 is no token"),
        ("/api/generate", {"prompt": "a", "format": "xml"}, 400, "'format'"),
        ("/api/generate", {"prompt": "word " * 9000}, 400, "the context has room for"),
        ("/api/show", {"model": "none"}, 404, "model 'none' not found"),
        ("/api/embed", {"input": "a"}, 501, "not made for embeddings"),
        ("/api/nothing", {}, 404, "there is nothing at /api/nothing"),
    ):
        code, _, found = call(server, "POST", path, body)
        assert status == code, (path, found)
        assert ["error"] == [*found]
        assert words in found["error"]
    assert "error" in call(server, "POST", "/api/chat", b"{")[2]
    assert {"error": "GET is not allowed here"} == call(server, "GET", "/api/chat")[2]
    assert 404 == head(server, "/api/blobs/sha256:0123")
    assert 404 == call(server, "POST", "/api/blobs/sha256:0123", b"GGUF")[0]
    older = call(server, "POST", "/api/completion", {})[2]
    assert "prompt" in older["error"]["message"]  # which is another protocol's


def test_a_key_and_a_name_are_asked_for_in_the_same_form(chat: Program) -> None:
    with serve(chat, "-t", "1", "--api-key", "secret") as guarded:
        status, _, found = call(guarded, "GET", "/api/tags")
        assert (401, {"error": "an API key is needed"}) == (status, found)
        known = call(guarded, "GET", "/api/tags", Authorization="Bearer secret")
        assert 200 == known[0]
        wrong = call(guarded, "GET", "/api/version", Host="rebound.example")
        assert "this server is not called" in wrong[2]["error"]


def test_versions_are_told(server: Served) -> None:
    major, minor, _ = get(server, "/api/version")["version"].split(".")
    assert (int(major), int(minor)) >= (0, 12)
    assert 200 == head(server, "/")  # what clients ask first


def test_who_leaves_frees_the_sequence(chat: Program) -> None:
    with serve(chat, "-t", "1", "-np", "1", "-c", "200000", "--no-fit", "--temp", "2") as server:
        # So hot that it hardly ever ends by itself.
        body = {"messages": [{"role": "user", "content": "x"}], "options": {"min_p": 0}}
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/api/chat", json.dumps(body))
        assert connection.getresponse().readline()
        connection.close()
        until(lambda: not get(server, "/slots")[0]["is_processing"])


def test_reasoning_is_apart(stub: Path, tmp_path: Path) -> None:
    flock = Flock("Qwen-Qwen3-0.6B")
    thought, answer = "Let me think.", "It is four."
    request = flock.add(f"<think>\n{thought}\n</think>\n\n{answer}")
    with flock.served(Program(stub), tmp_path / "parrot.gguf") as server:
        body = {**request, "stream": False, "tools": request["tools"]}
        message = post(server, "/api/chat", body)["message"]
        assert (thought, answer) == (message["thinking"].strip(), message["content"].strip())
        parts = lines(server, "/api/chat", request)
        told = "".join(part["message"].get("thinking", "") for part in parts)
        assert thought == told.strip()
        assert "thinking" in post(server, "/api/show", {"model": "parrot"})["capabilities"]


def test_vectors(chat: Program, tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "bert.gguf")
    with serve(Program(chat.path), "-m", str(path), "-t", "1") as server:
        found = post(server, "/api/embed", {"input": ["hello there", "hello " * 500]})
        first, cut = found["embeddings"]
        assert 32 == len(first) == len(cut)
        assert 128 < found["prompt_eval_count"] < 128 + 20
        assert found["total_duration"] > 0
        one = post(server, "/v1/embeddings", {"input": "hello there"})["data"][0]["embedding"]
        assert one == pytest.approx(first, abs=1e-6)
        assert first == post(server, "/api/embeddings", {"prompt": "hello there"})["embedding"]
        short = post(server, "/api/embed", {"input": "hello there", "dimensions": 8})
        assert 8 == len(short["embeddings"][0])
        assert [] == post(server, "/api/embed", {"input": []})["embeddings"]
        body = {"input": "hello " * 500, "truncate": False}
        assert "room for" in post(server, "/api/embed", body, 400)["error"]
        assert ["embedding"] == post(server, "/api/show", {"model": "tiny bert"})["capabilities"]
