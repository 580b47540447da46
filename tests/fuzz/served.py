"""What comes over the network and out of others' files: requests, saved conversations.

They are read by a real server over the demo model, in the process that tries inputs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
import re
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from paths import DEMO
from schemas import SCHEMAS

from fuzz.mutations import documents, octets
from fuzz.seeds import REQUESTS, USER
from fuzz.target import Target
from runtime.dialogue import session_file
from runtime.dialogue.chat_session import ChatSession
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.session_file import SessionFile
from runtime.model import model_file
from runtime.options.registry import Options
from runtime.server import app, endpoints
from runtime.server.http import listener, openapi
from runtime.server.http.guard import Rules
from runtime.server.http.listener import Listener
from runtime.server.http.request_body import BodyReader
from runtime.server.service.metrics import Metrics
from runtime.server.service.service import Identity, Service

OPTIONS = Options(
    temp=0.0, n_predict=8, ctx_size=512, parallel=2, queue=4, threads=1, port=0, pooling="mean",
    fit=False,
)  # fmt: skip
ANSWER_SECONDS = 60.0
"""In which a request is answered, on a busy machine."""
IMPATIENT = 0.2
"""Seconds that a server waits for the rest of what looks like the beginning of a request."""
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[!-9;-~]+: [^\r\n]*\r\n)*)\r\n")
BROKEN = ("server_error", "api_error")
"""Kinds of errors that no request should lead to."""
GRAMMARS = ("root ::= [z-a]", "root ::= <[99999]>", 'root ::= ("")*', 'root ::= "\\u00e9"+', "a")
SAMPLES: Mapping[str, Sequence[Any]] = {
    "integer": [0, 1, 3, -1], "number": [0.5, 1], "boolean": [True, False], "string": ["a", ""],
}  # fmt: skip
"""By JSON's types, as most fields take them."""
PATHS = frozenset(path for path, _ in REQUESTS)


@functools.cache
def _loaded() -> LoadedModel:
    return LoadedModel(model_file.open_file(DEMO), OPTIONS, lambda _: None)


@functools.cache
def _service() -> Service:
    return Service(_loaded(), Metrics(), Identity("demo", "demo"))


@functools.cache
def _port(patience: float) -> int:
    """Return the port of a server that runs in this process."""
    listener.silence_loggers()
    options = dataclasses.replace(OPTIONS, timeout=patience)
    service = _service()
    ready = threading.Event()
    server = Listener(
        app.build(service, Rules(names=frozenset({"localhost"})), {}),
        options, started=ready.set, cut=service.stop,
    )  # fmt: skip
    # What is sent last may be taken for a part of the request before, for its trailers say: then
    # another one is waited for.
    server.config.timeout_keep_alive = patience
    sock = listener.bind(options)
    threading.Thread(target=lambda: asyncio.run(server.serve([sock])), daemon=True).start()
    ready.wait()
    return int(sock.getsockname()[1])


def request_body(data: bytes) -> None:
    """A request is answered, or refused with a reason, whatever is in its fields."""
    path, body = "/v1/completions", data
    try:
        found = json.loads(data)
        if found["path"] in PATHS:
            path, body = found["path"], json.dumps(found["body"]).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # no JSON, or another
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    raw = _exchange(f"{head}Connection: close\r\n\r\n".encode() + body, ANSWER_SECONDS)
    statuses = [*_responses(raw, b"")]
    assert len(statuses) == 1, f"{len(statuses)} responses"


def request_bytes(data: bytes) -> None:
    """Whatever bytes come in, what comes back is HTTP, and the connection is closed."""
    for _ in _responses(_exchange(data + LAST, IMPATIENT), data):
        pass


def _exchange(data: bytes, patience: float) -> bytes:
    """Send bytes; return what comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", _port(patience)), ANSWER_SECONDS) as sock:
        parts = []
        try:
            sock.sendall(data)
            while part := sock.recv(1 << 16):
                parts.append(part)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it does not read more than it must of what it refuses
        return b"".join(parts)


def _responses(raw: bytes, asked: bytes) -> Iterator[int]:
    """Yield the status of each response; each must be whole, below 500 and say what is wrong."""
    while raw:
        head = HEAD.match(raw)
        assert head, f"no HTTP: {raw[:200]!r}"
        status, raw = int(head[1]), raw[head.end() :]
        lines = head[2].decode("latin-1").lower().splitlines()
        headers = dict(line.split(": ", 1) for line in lines)
        if status == 100:
            continue
        busy = status == 503 and headers.get("retry-after", "").isdigit()
        if b"HEAD" in asked and (not raw or raw.startswith(b"HTTP/1.1 ")):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body, raw = _chunks(raw)
        else:
            size = int(headers.get("content-length", 0))
            body, raw = raw[:size], raw[size:]
            assert len(body) == size, f"{status}: {len(body)} bytes of {size}"
        able = status != 501  # what needs another model
        assert status < 500 or busy or not able, f"{status}: {body[:500]!r}"
        _check(status, headers.get("content-type", ""), body)
        yield status


def _chunks(raw: bytes) -> tuple[bytes, bytes]:
    parts = []
    while True:
        line, _, raw = raw.partition(b"\r\n")
        size = int(line, 16)
        parts.append(raw[:size])
        assert raw[size : size + 2] == b"\r\n", "a chunk is cut"
        raw = raw[size + 2 :]
        if not size:
            return b"".join(parts), raw


def _check(status: int, kind: str, body: bytes) -> None:
    """Check that a body is what it says it is."""
    if kind.startswith("application/json") and body:  # a HEAD has none
        found = json.loads(body)
        if status >= 400:
            error = found["error"]
            assert error if isinstance(error, str) else error["message"], body
    elif kind.startswith("application/x-ndjson"):
        *earlier, last = [json.loads(line) for line in body.splitlines()]
        assert not any("error" in one or one["done"] for one in earlier), body[-200:]
        assert "error" in last or last.get("done") or last["status"] == "success", body[-200:]
    elif kind.startswith("text/event-stream"):
        *events, end = body.decode().split("\n\n")
        assert not end, body[-200:]
        if events[-1].startswith("data: "):
            assert events.pop() == "data: [DONE]", body[-200:]
        for event in events:
            name, _, data = event.rpartition("data: ")
            found = json.loads(data)
            assert name in ("", f"event: {found.get('type')}\n"), event
            error = found.get("error") or found.get("response", {}).get("error") or {}
            assert error.get("type", error.get("code")) not in BROKEN, found


def opened(data: bytes) -> None:
    """A conversation that somebody else saved is opened as text, or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.conversation"
        line, state = data + b"\n", b"state"
        path.write_bytes(line + state + hashlib.sha256(line + state).digest())
        notes: list[str] = []
        session = ChatSession(_loaded(), notes.append)
        assert session.store
        session.store.load(str(path))
        assert notes, "its state was used"
        again = Path(folder) / "again.conversation"
        if session.conversation.turns:
            session.store.save(str(again))
            assert session_file.read(again).turns == session.conversation.turns


def _bodies() -> list[bytes]:
    return [json.dumps({"path": path, "body": body}).encode() for path, body in REQUESTS]


def _raw() -> list[bytes]:
    body = b'{"prompt": "Hi", "max_tokens": 2}'
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:], b""))
    common = b"Host: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://localhost\r\n\r\n" * 2,
        b"POST /v1/completions HTTP/1.1\r\n" + common + length + body,
        b"POST /completion HTTP/1.1\r\n" + common + b"Expect: 100-continue\r\n" + length + body,
        b"POST /v1/completions?a=%41 HTTP/1.1\r\n" + common
        + b"Transfer-Encoding: chunked\r\n\r\n" + chunked,
        b"OPTIONS /v1/models HTTP/1.1\r\n" + common
        + b"Access-Control-Request-Method: POST\r\n\r\nHEAD / HTTP/1.1\r\n" + common + b"\r\n",
    ]  # fmt: skip


LINES = (
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 9999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Host: a\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Origin: null\r\n", b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n", b" folded\r\n",
    b"X: \0\r\n", b"\r\n", b"Authorization: Bearer \xff\r\n", b"A: " + b"a" * 70_000 + b"\r\n",
    b"A: b\r\n" * 500, b"\n\n", b"GET http://localhost/%00%ff HTTP/1.0\r\n", b"0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"ffffffffffffffffffff\r\n", b"1;a=b\r\nx\r\n",
    b"Range: bytes=0-\r\n", b"Sec-Fetch-Site: a\r\n",
)  # fmt: skip


@st.composite
def _raw_changed(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Put lines of other kinds between those of a request; or damage its bytes."""
    if draw(st.booleans()):
        return draw(octets(seeds))
    lines = draw(st.sampled_from(seeds)).splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines)))
        kind = draw(st.sampled_from(["insert", "insert", "replace", "drop", "double"]))
        if kind in ("insert", "replace"):
            lines[place : place + (kind == "replace")] = [draw(st.sampled_from(LINES))]
        elif kind == "drop":
            del lines[place : place + 1]
        else:
            lines[place:place] = lines[place : place + 1]
    return b"".join(lines)


@functools.cache
def _fields() -> dict[str, list[Any]]:
    """Return the fields of all requests, and values at the ends of what the API describes."""
    described = json.loads(openapi.document(endpoints.all_of(_service(), BodyReader())))
    found: dict[str, list[Any]] = {"grammar": [*GRAMMARS], "json_schema": [*SCHEMAS.values()]}
    for schema in described["components"]["schemas"].values():
        for name, kind in schema.get("properties", {}).items():
            found.setdefault(name, []).extend(_limits(kind))
    return found


def _limits(kind: dict[str, Any]) -> Iterator[Any]:
    yield from kind.get("enum", ())
    yield from SAMPLES.get(kind.get("type", ""), ())
    for name, beyond in (("minimum", -1), ("maximum", 1)):
        if name in kind:
            yield from (kind[name], kind[name] + beyond)
    for option in kind.get("anyOf", ()):
        yield from _limits(option)


def _bodies_changed(seeds: Sequence[bytes]) -> SearchStrategy[bytes]:
    return documents(seeds, fields=_fields(), within="body")


def _headers() -> list[bytes]:
    turns = [USER, {"role": "assistant", "content": "Paris.", "reasoning_content": "Hm."}]
    saved = SessionFile("Be kind.", cast(Any, turns), _loaded_key(), [1, 2, 3], b"state")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk"
        saved.write(path)
        return [path.read_bytes().splitlines()[0]]


def _loaded_key() -> dict[str, str]:
    return {"model": "demo", "engine": "1"}


TARGETS = {
    "request_body": Target(request_body, _bodies, _bodies_changed, 60),
    "request_bytes": Target(request_bytes, _raw, _raw_changed),
    "opened": Target(
        opened, _headers, functools.partial(documents, fields={"version": [1], "state": [5, 6]})
    ),
}
