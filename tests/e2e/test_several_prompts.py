"""Several prompts in one request, on every path that takes them: each answer belongs to its own."""

from __future__ import annotations

import array
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from program import Program
from server_client import call, events, get, post
from servers import Served, serve

Facts = dict[str, list[dict[str, str]]]
COMPLETIONS = ("/v1/completions",)
LLAMA = ("/completion", "/completions")


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "3", "-c", "3072", "--pooling", "mean") as running:
        yield running


@pytest.fixture(scope="module")
def known(server: Served, facts: Facts) -> list[tuple[str, str]]:
    """Return texts as the model reads them, and how it goes on; more than there are sequences."""
    chosen = [facts["questions"][number] for number in (0, 50, 3, 90, 7)]
    asked = [[{"role": "user", "content": fact["question"]}] for fact in chosen]
    texts = [post(server, "/apply-template", {"messages": one})["prompt"] for one in asked]
    return [(text, fact["answer"]) for text, fact in zip(texts, chosen, strict=True)]


def forms(server: Served, known: list[tuple[str, str]]) -> dict[str, list[Any]]:
    """Return the prompts in each form in which several can be given."""
    texts = [text for text, _ in known]
    tokens = [post(server, "/tokenize", {"content": text})["tokens"] for text in texts]
    return {
        "texts": texts,
        "tokens": tokens,
        "both": [texts[0], tokens[1], texts[2], tokens[3], tokens[4]],
        "one text": texts[:1],
        "one list of tokens": tokens[:1],
    }


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", COMPLETIONS)
def test_openai_completions(
    server: Served, known: list[tuple[str, str]], path: str, stream: bool, count: int
) -> None:
    for form, prompts in forms(server, known).items():
        expected = [answer for _, answer in known[: len(prompts)] for _ in range(count)]
        body = {"prompt": prompts, "n": count, "temperature": 0, "logprobs": 1}
        found = [""] * len(expected)
        ends = [0] * len(expected)
        parts = events(server, path, body) if stream else [post(server, path, body)]
        for choice in (choice for part in parts for choice in part["choices"]):
            found[choice["index"]] += choice["text"]
            ends[choice["index"]] += choice["finish_reason"] is not None
            tokens = (choice["logprobs"] or {"tokens": []})["tokens"]
            assert choice["text"] == "".join(tokens)
        assert (form, expected) == (form, found)
        assert [1] * len(expected) == ends


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_completions_that_repeat_the_prompt(
    server: Served, known: list[tuple[str, str]], stream: bool, count: int
) -> None:
    """Plain texts: where a prompt is repeated, its control tokens have no text."""
    texts = ["The capital of", "Hi there", "What is"]
    body = {"prompt": texts, "n": count, "temperature": 0, "max_tokens": 3, "echo": True}
    path = "/v1/completions"
    parts = events(server, path, body) if stream else [post(server, path, body)]
    found = [""] * len(texts) * count
    for choice in (choice for part in parts for choice in part["choices"]):
        found[choice["index"]] += choice["text"]
    alone = [post(server, path, {**body, "prompt": text, "n": 1}) for text in texts]
    expected = [one["choices"][0]["text"] for one in alone for _ in range(count)]
    assert expected == found
    assert all(text.startswith(texts[n // count]) for n, text in enumerate(found))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", LLAMA)
def test_llama_servers_completion(
    server: Served, known: list[tuple[str, str]], path: str, stream: bool
) -> None:
    for form, prompts in forms(server, known).items():
        expected = [answer for _, answer in known[: len(prompts)]]
        body = {"prompt": prompts, "temperature": 0}
        if stream:
            found, ends = [""] * len(expected), [0] * len(expected)
            for part in events(server, path, body):
                found[part["index"]] += part["content"]
                ends[part["index"]] += part["stop"]
            assert [1] * len(expected) == ends
        else:
            answer = post(server, path, body)
            several = answer if len(prompts) > 1 else [answer]
            assert [*range(len(several))] == [one["index"] for one in several]
            found = [one["content"] for one in several]
        assert (form, expected) == (form, found)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_embeddings(server: Served, known: list[tuple[str, str]], path: str) -> None:
    def vectors(given: Any, **more: Any) -> list[Any]:
        data = post(server, path, {"input": given, **more})["data"]
        assert [*range(len(data))] == [one["index"] for one in data]
        return [one["embedding"] for one in data]

    alone = [vectors(text)[0] for text, _ in known]
    assert len({tuple(one) for one in alone}) == len(known)
    for form, prompts in forms(server, known).items():
        found = vectors(prompts)
        assert (form, alone[: len(prompts)]) == (form, found)
        packed = vectors(prompts, encoding_format="base64")
        for one, expected in zip(packed, alone, strict=False):
            assert array.array("f", expected) == array.array("f", base64.b64decode(one))


def test_vectors_as_ollama_gives_them(server: Served, known: list[tuple[str, str]]) -> None:
    def vectors(given: Any) -> list[Any]:
        found = post(server, "/api/embed", {"model": "model", "input": given})["embeddings"]
        return [[*map(float, one)] for one in found]

    texts = [text for text, _ in known]
    alone = [vectors(text)[0] for text in texts]
    assert len({tuple(one) for one in alone}) == len(known)
    assert alone == vectors(texts)
    assert alone[:1] == vectors(texts[:1])


def test_every_path_that_takes_prompts_is_asked_here(server: Served) -> None:
    """By the server's own description; the older interface takes one text alone."""
    document = get(server, "/openapi.json")
    schemas = document["components"]["schemas"]
    several = set()
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for kind in content.values():
            schema = kind["schema"]
            if "$ref" in schema:
                schema = schemas[schema["$ref"].rpartition("/")[2]]
            fields = schema.get("properties", {})
            given = fields.get("prompt") or fields.get("input")
            if given and "array" in str(given):
                several.add(path)
    assert {"/v1/completions", "/completion", "/v1/embeddings", "/api/embed"} == several
    status, _, answer = call(server, "POST", "/api/completion", {"prompt": ["Hi", "Ho"]})
    assert (400, "prompt") == (status, answer["error"]["param"])
