"""What llama-server's users expect of the produced server, and those of an older one in Go."""

from __future__ import annotations

import http.client
import json
import math
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from encoders import write_encoder
from program import Program
from server_client import FRANCE, asked, call, events, get, post, said, until
from servers import Served, serve

PARIS = "The capital of France is Paris."
LONG = "word " * 800


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    flags = ("-t", "1", "-np", "2", "--queue", "2", "-b", "64", "--greeting", "Hello.")
    with serve(chat, *flags) as running:
        yield running


def test_health_and_props(server: Served) -> None:
    assert {"status": "ok"} == get(server, "/health") == get(server, "/v1/health")
    props = get(server, "/props")
    assert props["total_slots"] == 2
    assert props["default_generation_settings"]["n_ctx"] == 1024
    assert props["default_generation_settings"]["params"]["temperature"] == 0
    assert "assistant" in props["chat_template"]
    assert ["completion", "tools"] == props["capabilities"]
    own = props["modelembed"]
    assert (own["greeting"], own["thinking"], own["fallback"]) == ("Hello.", False, "")
    assert props["model_alias"] == get(server, "/v1/models")["data"][0]["id"]


def test_metrics_count(server: Served) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^llamacpp:{name} (\S+)$", get(server, "/metrics"), re.M)
        assert found, name
        return float(found[1])

    before = value("tokens_predicted_total"), value("answers_total"), value("n_decode_total")
    post(server, "/v1/chat/completions", asked(max_tokens=5))
    after = value("tokens_predicted_total"), value("answers_total"), value("n_decode_total")
    assert (before[0] + 5, before[1] + 1) == after[:2]
    assert after[2] >= before[2] + 5
    assert value("requests_processing") == 0
    _, headers, _ = call(server, "GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")


def test_tokens_and_back(server: Served) -> None:
    tokens = post(server, "/tokenize", {"content": PARIS})["tokens"]
    assert PARIS == post(server, "/detokenize", {"tokens": tokens})["content"]
    pieces = post(server, "/tokenize", {"content": PARIS, "with_pieces": True})["tokens"]
    assert tokens == [piece["id"] for piece in pieces]
    assert PARIS == "".join(piece["piece"] for piece in pieces)
    special = post(server, "/tokenize", {"content": "a", "add_special": True})["tokens"]
    assert special[-1:] == post(server, "/tokenize", {"content": "a"})["tokens"]
    refused = post(server, "/detokenize", {"tokens": [10**9]}, 400)
    assert refused["error"]["param"] == "tokens"


def test_the_template(server: Served) -> None:
    prompt = post(server, "/apply-template", asked())["prompt"]
    assert FRANCE in prompt
    tokens = post(server, "/tokenize", {"content": prompt})["tokens"]
    answer = post(server, "/v1/chat/completions", asked())
    assert answer["usage"]["prompt_tokens"] == len(tokens)


def test_completion_in_llama_servers_terms(server: Served) -> None:
    prompt = post(server, "/apply-template", asked())["prompt"]
    answer = post(server, "/completion", {"prompt": prompt, "n_probs": 2, "return_tokens": True})
    assert PARIS == answer["content"]
    assert (True, "eos", "") == (answer["stop"], answer["stop_type"], answer["stopping_word"])
    assert len(answer["completion_probabilities"]) == answer["tokens_predicted"]
    assert answer["tokens"] == [one["id"] for one in answer["completion_probabilities"]]
    assert all(len(one["top_logprobs"]) == 2 for one in answer["completion_probabilities"])
    assert answer["generation_settings"]["temperature"] == 0

    word = post(server, "/completion", {"prompt": prompt, "stop": ["France"]})
    assert ("word", "France") == (word["stop_type"], word["stopping_word"])
    assert "limit" == post(server, "/completion", {"prompt": "a", "n_predict": 1})["stop_type"]
    tokens = post(server, "/tokenize", {"content": prompt})["tokens"]
    several = post(server, "/completion", {"prompt": [prompt, tokens]})
    assert [PARIS, PARIS] == [one["content"] for one in several]

    parts = events(server, "/completion", {"prompt": prompt})
    assert PARIS == "".join(part["content"] for part in parts)
    assert [False] * (len(parts) - 1) + [True] == [part["stop"] for part in parts]


def test_the_older_interface(server: Served) -> None:
    answer = post(server, "/api/completion", {"prompt": "Once", "tokens": 7, "temp": 0})
    assert {"Prompt", "Text", "Tokens", "CompleteReason"} == answer.keys()
    assert ("Once", 7, "length") == (answer["Prompt"], answer["Tokens"], answer["CompleteReason"])
    refused = post(server, "/api/completion", {"tokens": 7}, 400)
    assert "prompt" in refused["error"]["message"]
    schemas = get(server, "/openapi.json")["components"]["schemas"]
    fields = schemas["LlamaGoRequest"]["properties"]
    assert {"top_k": 40, "top_p": 0.9, "temp": 0.8, "repeat_penalty": 1.3, "repeat_lastn": 64} == {
        name: field["default"] for name, field in fields.items() if name not in ("prompt", "tokens")
    }


def test_a_long_prompt_tells_how_far_it_is(server: Served) -> None:
    body = {"messages": [{"role": "user", "content": LONG}], "max_tokens": 1}
    parts = events(server, "/v1/chat/completions", body | {"return_progress": True})
    steps = [part["prompt_progress"] for part in parts if "prompt_progress" in part]
    assert steps
    done = [step["processed"] for step in steps]
    assert done == sorted(set(done))
    assert all(step["total"] > step["processed"] >= step["cache"] for step in steps)
    assert parts[-1]["timings"]["prompt_n"] + parts[-1]["timings"]["cache_n"] == steps[0]["total"]
    assert not [p for p in events(server, "/v1/chat/completions", body) if "prompt_progress" in p]


def test_what_is_too_much_is_told_to_come_later(chat: Program) -> None:
    """One runs, one waits, a third is sent away; when they have left, it is taken."""
    flags = ("-t", "1", "-np", "1", "--queue", "1", "-c", "200000", "--no-fit")
    with serve(chat, *flags) as server:
        connections = []
        for number in (0, 1):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            endless = asked(ignore_eos=True, stream=True)
            connection.request("POST", "/v1/chat/completions", json.dumps(endless))
            connections.append(connection)
            until(lambda number=number: f"requests_deferred {number}" in get(server, "/metrics")
                  and get(server, "/slots")[0]["is_processing"])  # fmt: skip
        status, headers, refused = call(server, "POST", "/v1/chat/completions", asked())
        assert (503, "busy") == (status, refused["error"]["code"])
        assert int(headers["retry-after"]) >= 1
        both = call(server, "POST", "/v1/chat/completions", asked(n=2))
        assert both[0] == 503
        assert "requests_rejected_total 2" in get(server, "/metrics")
        for connection in connections:
            connection.close()
        until(lambda: not get(server, "/slots")[0]["is_processing"])
        assert PARIS == said(post(server, "/v1/chat/completions", asked()))


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_frees_the_sequence(chat: Program, stream: bool) -> None:
    with serve(chat, "-t", "1", "-np", "1", "-c", "200000", "--no-fit") as server:
        body = asked(ignore_eos=True, stream=stream)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        if stream:
            assert connection.getresponse().readline()
        until(lambda: get(server, "/slots")[0]["is_processing"])
        connection.close()
        # The other one would go on for many minutes, and there is one sequence.
        assert PARIS == said(post(server, "/v1/chat/completions", asked()))
        assert "answers_cancelled_total 1" in get(server, "/metrics")


def test_wrong_requests(server: Served) -> None:
    for path, body, field in (
        ("/v1/chat/completions", {}, None),
        ("/v1/chat/completions", {"messages": []}, "messages"),
        ("/v1/chat/completions", {"messages": [{"role": "king"}]}, "messages[0].role"),
        ("/v1/chat/completions", asked(stream="yes"), "stream"),
        ("/v1/completions", {"prompt": [1, "a"]}, "prompt"),
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/completion", {"prompt": "x", "top_k": "many"}, "top_k"),
        ("/completion", {"prompt": "x", "json_schema": {"type": "whole"}}, "json_schema"),
        ("/tokenize", {"content": 5}, "content"),
        ("/v1/embeddings", {"input": {}}, "input"),
    ):  # fmt: skip
        error = post(server, path, body, 400)["error"]
        assert error["param"] == field, (path, body, error)
        assert error["type"] == "invalid_request_error"
        assert error["message"]
    for data in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b'"text"', b"{}{}"):
        assert 400 == call(server, "POST", "/v1/chat/completions", data)[0], data[:10]
    assert 404 == call(server, "GET", "/v2")[0]
    assert 405 == call(server, "GET", "/v1/chat/completions")[0]
    assert 405 == call(server, "POST", "/health", b"")[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "object missing required field 'messages'"),
        ({"messages": []}, "'messages': expected an array of length >= 1"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "'messages[0].content': expected a string or an array or null, got an integer",
        ),
        (asked(n=1.5), "'n': expected an integer or null, got a number"),
        (asked(stream="yes"), "'stream': expected true or false or null, got a string"),
    ],
)
def test_wrong_requests_are_told_in_plain_words(
    server: Served, body: dict[str, Any], said: str
) -> None:
    assert said == post(server, "/v1/chat/completions", body, 400)["error"]["message"]


def test_the_page_is_sent_once(server: Served) -> None:
    status, headers, text = call(server, "GET", "/")
    assert status == 200
    assert "<html" in text
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert 304 == call(server, "GET", "/", If_None_Match=headers["etag"])[0]
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/", headers={"Accept-Encoding": "gzip"})
    packed = connection.getresponse()
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.read()) < len(text)
    connection.close()
    for path in ("/page/../run.py", "/page/%2e%2e/run.py", "/page//etc/passwd", "/page/nothing.js"):
        assert 404 == call(server, "GET", path)[0]


def test_embeddings(stub: Path, chat: Program, tmp_path: Path) -> None:
    import openai

    path = write_encoder(tmp_path / "bert.gguf")
    with (
        serve(Program(chat.path), "-m", str(path), "-t", "1") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client,
    ):
        texts = ["hello there", "hello there", "something else"]
        same, again, other = client.embeddings.create(model="x", input=texts).data
        assert same.embedding == again.embedding
        assert same.embedding != other.embedding
        assert sum(v * v for v in same.embedding) == pytest.approx(1, abs=1e-4)
        plain = client.embeddings.create(model="x", input="hello there", encoding_format="float")
        assert plain.data[0].embedding == pytest.approx(same.embedding, abs=1e-6)
        assert plain.usage.prompt_tokens > 1
        with pytest.raises(openai.BadRequestError, match="32 numbers"):
            client.embeddings.create(model="x", input="hello", dimensions=33)
        short = client.embeddings.create(model="x", input="hello there", dimensions=7)
        length = math.sqrt(sum(v * v for v in same.embedding[:7]))
        expected = [v / length for v in same.embedding[:7]]
        assert short.data[0].embedding == pytest.approx(expected, abs=1e-6)
        with pytest.raises(openai.BadRequestError, match="room for"):
            client.embeddings.create(model="x", input="hello " * 500)
        with pytest.raises(openai.InternalServerError, match="only makes embeddings") as caught:
            client.completions.create(model="x", prompt="hello")
        assert caught.value.status_code == 501


def test_embeddings_of_any_model_if_asked_for(chat: Program) -> None:
    with serve(chat, "-t", "1", "--pooling", "mean") as server:
        found = [None, None]

        def embed(place: int) -> None:
            found[place] = post(server, "/v1/embeddings", {"input": [FRANCE, PARIS]})

        threads = [threading.Thread(target=embed, args=(place,)) for place in range(2)]
        for thread in threads:
            thread.start()
        assert PARIS == said(post(server, "/v1/chat/completions", asked()))
        for thread in threads:
            thread.join()
        assert found[0] == found[1]
        assert found[0] is not None
