"""Hostility: requests that mean no good, and whether the server turns them away as it should.

Each asks once and returns "refused", "right" where even that has an answer, "left", or else what
is wrong.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks.endurance.client import TIMEOUT, Cut, Unexpected, post, question, said
from benchmarks.endurance.demands import CHAT, Ask, judged
from benchmarks.endurance.knowledge import Knowledge

BODY_MAX = 8_000_000
"""--max-body as it is unless the user says otherwise."""
PATIENCE = 6.0
"""--timeout of the server under test: seconds after which slow clients are cut."""
GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 1000 + b"\r\n\r\n",
    b"GET /health HTTP/9.9\r\n\r\n",
    b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 1_000_000 + b"\r\n\r\n",
)


def ambiguous_grammar(port: int, known: Knowledge, chance: random.Random) -> str:
    """Give a grammar whose matcher needs twice the time with each rule."""
    depth = chance.choice([20, 60])
    rules = ["root ::= a0"]
    rules += [f'a{i} ::= a{i + 1} a{i + 1} | a{i + 1} | ""' for i in range(depth)]
    grammar = "\n".join([*rules, f'a{depth} ::= "x" | ""'])
    return refused(port, "/v1/completions", {"prompt": "Hi", "max_tokens": 9, "grammar": grammar})


def deep_schema(port: int, known: Knowledge, chance: random.Random) -> str:
    document: dict[str, Any] = {"type": "string"}
    for _ in range(chance.choice([70, 400])):
        document = {"type": "object", "properties": {"a": document}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "deep", "schema": document}}
    return refused(port, CHAT, question("Hi", response_format=form))


def wide_schema(port: int, known: Knowledge, chance: random.Random) -> str:
    """Give a schema of thousands of properties; it is compiled, or takes too long."""
    count = chance.choice([300, 5000])
    properties = {f"p{number}": {"type": "string", "maxLength": 5} for number in range(count)}
    document = {"type": "object", "properties": properties}
    post(port, "/completion", {"prompt": "Hi", "n_predict": 4, "json_schema": document}, 200, 400)
    return "refused"


def broken_json(port: int, known: Knowledge, chance: random.Random) -> str:
    body = json.dumps(question("Hi")).encode()
    broken = [body[: chance.randrange(len(body))], body + b"}", b"\xff" + body, b"[" * 1_000_000]
    return refused(port, CHAT, chance.choice(broken))


def wrong_types(port: int, known: Knowledge, chance: random.Random) -> str:
    wrong: list[Any] = [
        {"messages": "Hi"}, {"messages": []}, question("Hi", max_tokens="many"),
        question("Hi", temperature=-1), question("Hi", logit_bias={"x" * 9: "y"}), [1], None,
    ]  # fmt: skip
    return refused(port, CHAT, chance.choice(wrong))


def garbage(port: int, known: Knowledge, chance: random.Random) -> str:
    with connected(port) as raw, suppress(ConnectionError):
        raw.sendall(chance.choice(GARBAGE))
        begin = raw.recv(4096)
        if begin and not begin.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 431")):
            return f"wrong: {begin[:100]!r}"
    return "refused"


def slow_sender(port: int, known: Knowledge, chance: random.Random) -> str:
    """Send a request bit by bit: in time, so that it is answered, or not."""
    fact = chance.choice(known.facts)
    data = written(json.dumps(question(fact["question"])).encode())
    in_time = chance.random() < 0.5
    pause = (PATIENCE / 3 if in_time else 2 * PATIENCE) / 20
    with connected(port) as raw:
        try:
            for place in range(0, len(data), 1 + len(data) // 20):
                raw.sendall(data[place : place + 1 + len(data) // 20])
                time.sleep(pause)
            answer = received(raw)
        except ConnectionError:
            answer = b""
    if not in_time:
        return "refused" if not answer else f"wrong: it waited for ever, {answer[:100]!r}"
    if not answer:  # excused only where the server was told to end
        raise Cut("the connection was closed before the answer")
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 503 " in head.partition(b"\r\n")[0]:
        return "busy"
    return judged(said(json.loads(body)), fact["answer"])


def slow_reader(port: int, known: Knowledge, chance: random.Random) -> str:
    """Ask for much, and read nothing."""
    asked = question("Hi", stream=True, ignore_eos=True, logprobs=True, top_logprobs=20)
    with connected(port) as raw:
        raw.sendall(written(json.dumps(asked).encode()))
        time.sleep(chance.uniform(0.5, 1.5))
    return "left"


def silent(port: int, known: Knowledge, chance: random.Random) -> str:
    """Open connections and say nothing."""
    connections = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(30)]
    time.sleep(chance.uniform(0, 0.5))
    for connection in connections:
        connection.close()
    return "left"


def oversized(port: int, known: Knowledge, chance: random.Random) -> str:
    """Announce more than is allowed, or send it without saying so."""
    head = b"POST /completion HTTP/1.1\r\nHost: localhost\r\n"
    with connected(port) as raw:
        if chance.random() < 0.5:
            raw.sendall(head + b"Content-Length: %d\r\n\r\n" % (BODY_MAX + 1))
        else:
            with suppress(ConnectionError):
                raw.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                for _ in range(BODY_MAX // 0x10000 + 2):
                    raw.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        with suppress(ConnectionError):
            begin = raw.recv(4096)
            if not begin.startswith(b"HTTP/1.1 413"):
                return f"wrong: {begin[:100]!r}"
    return "refused"


def heavy_body(port: int, known: Knowledge, chance: random.Random) -> str:
    """Send as much as is allowed, of what is costly to read."""
    path, *parts = chance.choice(HEAVY)
    return refused(port, path, heavy(*parts))


def heavy(begin: bytes, item: bytes, end: bytes) -> bytes:
    """Return a body as large as is allowed: `item` repeated between `begin` and `end`."""
    count = (BODY_MAX - len(begin) - len(end)) // (len(item) + 1)
    return begin + b",".join([item] * count) + end


HEAVY = (
    ("/v1/completions", b'{"prompt":[', b"1", b"]}"),
    ("/v1/completions", b'{"prompt":[', b"[1]", b"]}"),
    ("/v1/completions", b'{"prompt":[', b'"a"', b"]}"),
    ("/v1/completions", b'{"prompt":"', b"many words ", b'"}'),
    ("/completion", b'{"prompt":"Hi","logit_bias":[', b"[1,2]", b",0]}"),
    ("/completion", b'{"prompt":"Hi","stop":[', b'"a"', b"]}"),
    ("/v1/embeddings", b'{"input":[', b"[1]", b"]}"),
    ("/detokenize", b'{"tokens":[', b"1", b",999999999]}"),
    (CHAT, b'{"messages":[', b'{"role":"user","content":"a"}', b"]}"),
    (CHAT, b'{"messages":[{"role":"user","content":"', b"many words ", b'"}]}'),
    (CHAT, b'{"x":[', b"{}", b"]}"),
    (CHAT, b'{"tools":[', b'{"function":{"name":"a"}}', b"]}"),
)
"""Path, and the JSON: its begin, what is repeated, its end. All of them are refused."""

HOSTILITIES: dict[Ask, int] = {
    ambiguous_grammar: 1, deep_schema: 3, wide_schema: 1, broken_json: 6, wrong_types: 6,
    garbage: 6, slow_sender: 2, slow_reader: 2, silent: 2, oversized: 2, heavy_body: 6,
}  # fmt: skip
"""How often each is made, relative to the others."""


def refused(port: int, path: str, body: Any) -> str:
    """Send what must be refused; return whether it is, and says why."""
    error = post(port, path, body, 400, 413)["error"]
    if not error["message"]:
        raise Unexpected(f"{path}: no word on why it is refused")
    return "refused"


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Give a connection."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as raw:
        yield raw


def written(body: bytes) -> bytes:
    """Return a request as bytes; the connection ends with its answer."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def received(raw: socket.socket) -> bytes:
    """Return everything up to the end of a connection."""
    return b"".join(iter(lambda: raw.recv(65536), b""))
