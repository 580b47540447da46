"""Responses and Messages at the produced server: errors in the terms of each, workers, pings."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from other_protocols import named_events
from program import Program
from server_client import FRANCE, call, get, post, until
from servers import Served, serve

PARIS = "The capital of France is Paris."
QUESTIONS: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": FRANCE},
    "/v1/messages": {"messages": [{"role": "user", "content": FRANCE}], "max_tokens": 50},
}
PATHS = [*QUESTIONS]
ENDLESS = {"ignore_eos": True}


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "1", "-c", "4096", "--max-body", "0.1") as running:
        yield running


def error_of(path: str, body: Any) -> tuple[str, str]:
    """Return kind and message of an error in a protocol's form."""
    if path == "/v1/messages":
        assert body.keys() == {"type", "error", "request_id"}
        assert body["type"] == "error"
        assert body["error"].keys() == {"type", "message"}
    else:
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"type", "message", "param", "code"}
    return body["error"]["type"], body["error"]["message"]


@pytest.mark.parametrize("path", PATHS)
def test_errors_have_the_form_of_the_protocol(server: Served, path: str) -> None:
    asked = QUESTIONS[path]
    for body, status, says in (
        (b"{", 400, "not JSON"),
        ({}, 400, "missing"),
        ({**asked, "temperature": "hot"}, 400, "'temperature'"),
        ({**asked, "temperature": -1}, 400, "temperature"),
        ({**asked, "tools": [5]}, 400, "'tools[0]'"),
        (b" " * 150_000, 413, "the request has more than"),
    ):
        code, _, found = call(server, "POST", path, body)
        assert status == code
        assert says in error_of(path, found)[1]
    code, headers, found = call(server, "GET", path)
    assert (405, "POST") == (code, headers["Allow"])
    assert "not allowed" in error_of(path, found)[1]
    code, _, found = call(server, "POST", f"{path}/none/of/them", {})
    assert (404, "not_found_error") == (code, error_of(path, found)[0])
    code, _, found = call(server, "POST", path, asked, Host="evil.example")
    assert (403, "permission_error") == (code, error_of(path, found)[0])


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_key(chat: Program, path: str) -> None:
    with serve(chat, "-t", "1", "--api-key", "sesame") as locked:
        for headers in ({}, {"Authorization": "Bearer no"}, {"X-Api-Key": "no"}):
            code, _, found = call(locked, "POST", path, QUESTIONS[path], **headers)
            assert (401, "authentication_error") == (code, error_of(path, found)[0])
        for headers in (
            {"Authorization": "Bearer sesame"},
            {"X-Api-Key": "sesame"},
            {"X-Api-Key": "sesame", "Authorization": "Bearer other"},
            {"X-Api-Key": "other", "Authorization": "Bearer sesame"},
        ):
            code, _, found = call(locked, "POST", path, QUESTIONS[path], **headers)
            assert 200 == code
            assert PARIS in json.dumps(found)


class Running:
    """A stream that does not end by itself, read in a thread."""

    def __init__(self, server: Served, path: str) -> None:
        self.lines: list[str] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {**QUESTIONS[path], **ENDLESS, "stream": True}
        body.pop("max_tokens", None)
        self._connection.request("POST", path, json.dumps(body))
        self._response = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        until(lambda: len(self.lines) > 20)

    def _read(self) -> None:
        for line in self._response:
            self.lines.append(line.decode().rstrip("\n"))

    def last(self) -> tuple[str, Any]:
        """Return name and data of the last event, once the stream has ended."""
        self._thread.join(30)
        self._connection.close()
        name, data, *_ = [line for line in self.lines if line][-2:]
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.mark.parametrize("path", PATHS)
def test_a_busy_server_and_one_that_stops(chat: Program, path: str) -> None:
    flags = ("-t", "1", "-np", "1", "--queue", "0", "--grace", "0", "-c", "16384")
    with serve(chat, *flags) as busy:
        running = Running(busy, path)
        code, headers, found = call(busy, "POST", path, QUESTIONS[path])
        assert 503 == code
        assert headers["Retry-After"]
        kind, _ = error_of(path, found)
        assert kind == ("overloaded_error" if path == "/v1/messages" else "unavailable_error")
        busy.process.send_signal(signal.SIGTERM)
        name, data = running.last()
        assert 0 == busy.process.wait(30)
    if path == "/v1/messages":
        assert ("error", "overloaded_error") == (name, error_of(path, data)[0])
        assert "stopped" in data["error"]["message"]
    else:
        assert ("response.failed", "failed") == (name, data["response"]["status"])
        assert "stopped" in data["response"]["error"]["message"]
        [item] = data["response"]["output"]
        assert item["content"][0]["text"]


def test_the_whole_and_the_stream_are_the_same(server: Served) -> None:
    for path, asked in QUESTIONS.items():
        events = named_events(server, path, asked)
        assert PARIS == "".join(
            event["delta"] if isinstance(event["delta"], str) else event["delta"]["text"]
            for event in events
            if event["type"] in ("response.output_text.delta", "content_block_delta")
        )


def test_a_long_prompt_is_read_under_pings(server: Served) -> None:
    long = "The quick brown fox jumps over the lazy dog. " * 150
    asked = {"messages": [{"role": "user", "content": long}], "max_tokens": 2, "stream": True}
    events = named_events(server, "/v1/messages", asked)
    kinds = [event["type"] for event in events]
    assert "message_start" == kinds[0]
    assert "ping" in kinds
    usage = events[0]["message"]["usage"]
    counted = post(server, "/v1/messages/count_tokens", {"messages": asked["messages"]})
    assert counted["input_tokens"] == usage["input_tokens"] + usage["cache_read_input_tokens"]


def test_processes_keep_no_responses(chat: Program) -> None:
    with serve(chat, "-t", "1", "--workers", "2") as several:
        answer = post(several, "/v1/responses", QUESTIONS["/v1/responses"])
        assert not answer["store"]
        request = {"input": FRANCE, "previous_response_id": answer["id"]}
        problem = post(several, "/v1/responses", request, 400)["error"]
        assert "--workers" in problem["message"]
        assert "previous_response_id" == problem["param"]
        assert 404 == call(several, "GET", f"/v1/responses/{answer['id']}")[0]


def test_the_model_is_listed_for_all(server: Served) -> None:
    found = get(server, "/v1/models")
    [card], [named] = found["data"], found["models"]
    assert card["id"] == named["name"] == named["model"] == found["first_id"] == found["last_id"]
    assert ("model", False) == (card["type"], found["has_more"])
    assert card["created_at"].endswith("Z")
