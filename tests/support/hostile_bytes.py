"""Hostile HTTP: bytes that are no requests, headers that lie, clients that stop in the middle."""

from __future__ import annotations

from hostile_case import KEY, RIGHT, Case

BODY = b'{"prompt": "Hi", "max_tokens": 1}'
CLOSED, BAD = (0,), (400,)
AUTHORIZED = f"Authorization: Bearer {KEY}\r\n".encode()


def request(
    *headers: bytes, line: bytes = b"POST /v1/completions HTTP/1.1", body: bytes = BODY
) -> bytes:
    """Return the bytes of a request with these headers, and the usual ones."""
    lines = [line, b"Host: localhost", AUTHORIZED.strip(), *headers, b"", body]
    return b"\r\n".join(lines)


def sized(size: int | bytes) -> bytes:
    text = size if isinstance(size, bytes) else str(size).encode()
    return b"Content-Length: " + text


WITHIN = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
FITTING = sized(len(BODY))
WHOLE = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

BYTES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "noise": (bytes(range(256)) * 4, BAD),
    "zeros": (bytes(5000), BAD),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), BAD),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50), (400, 403)),
    "HTTP/0.9": (b"GET /\r\n\r\n", BAD),
    "HTTP/9": (request(FITTING, line=b"POST /v1/completions HTTP/9.9"), (200, 400)),
    "no version": (request(FITTING, line=b"POST /v1/completions"), BAD),
    "no path": (request(FITTING, line=b"POST  HTTP/1.1"), BAD),
    "a path of NULs": (request(FITTING, line=b"POST /\x00\x00 HTTP/1.1"), BAD),
    "spaces in the path": (request(FITTING, line=b"POST /a b HTTP/1.1"), BAD),
    "a long method": (request(FITTING, line=b"P" * 20_000 + b" / HTTP/1.1"), (400, 405)),
    "a long path": (request(FITTING, line=b"POST /" + b"a" * 500_000 + b" HTTP/1.1"), (431,)),
    "a path out of it": (request(line=b"GET /page/../../../etc/passwd HTTP/1.1", body=b""), (404,)),
    "an escaped path out of it": (
        request(line=b"GET /page/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", body=b""), (404,)),
    "another machine's path": (request(FITTING, line=b"POST http://a/v1/completions HTTP/1.1"),
                               (200, 403, 404)),
    "an odd method": (request(sized(0), line=b"BREW /v1/completions HTTP/1.1", body=b""), (405,)),
    "TRACE": (request(sized(0), line=b"TRACE / HTTP/1.1", body=b""), (405,)),
    "CONNECT": (request(sized(0), line=b"CONNECT a:1 HTTP/1.1", body=b""), (400, 404, 405)),
    "a header without a name": (request(b": x", FITTING), BAD),
    "a header without a colon": (request(b"nothing", FITTING), BAD),
    "a space before the colon": (request(b"Content-Length : 5"), BAD),
    "NUL in a header": (request(b"X: a\x00b", FITTING), BAD),
    "a lone return in a header": (request(b"X: a\rY: b", FITTING), BAD),
    "a folded header": (request(b"X: a\r\n b", FITTING), (200, 400)),
    "a large header": (request(b"X: " + b"a" * 100_000, FITTING), (431,)),
    "many headers": (request(*[b"X-%d: a" % i for i in range(20_000)], FITTING), (431,)),
    "two lengths": (request(sized(5), FITTING), BAD),
    "two lengths in one": (request(sized(b"5, 33")), BAD),
    "a length below nothing": (request(sized(-5)), BAD),
    "a length with a sign": (request(sized(b"+33")), BAD),
    "a length in hex": (request(sized(b"0x21")), BAD),
    "a length of digits": (request(sized(b"9" * 5000)), (400, 413)),
    "a length too long": (request(sized(10**15)), (413,)),
    "length and chunks": (request(FITTING, CHUNKED, body=WHOLE), (200, 400)),
    "chunks twice": (request(CHUNKED, CHUNKED, body=WHOLE), BAD),
    "another coding": (request(b"Transfer-Encoding: gzip", body=WHOLE), (400, 501)),
    "another coding of chunks": (request(b"Transfer-Encoding: xchunked", body=WHOLE), (400, 501)),
    "a chunk without a size": (request(CHUNKED, body=b"\r\n" + WHOLE), BAD),
    "a chunk of a size in words": (request(CHUNKED, body=b"zz\r\n" + WHOLE), BAD),
    "a chunk of a size in words that nobody reads": (
        request(CHUNKED, line=b"GET /health HTTP/1.1", body=b"zz\r\n"), BAD),
    "a chunk below nothing": (request(CHUNKED, body=b"-5\r\n" + WHOLE), BAD),
    "a chunk too large": (request(CHUNKED, body=b"f" * 40 + b"\r\n" + BODY), BAD),
    "a chunk that is longer": (request(CHUNKED, body=b"2\r\n" + BODY + b"\r\n0\r\n\r\n"), BAD),
    "a long extension": (request(CHUNKED, body=b"1;" + b"a" * 100_000 + b"\r\nx\r\n"), (0, 400)),
    "a gzipped body": (request(b"Content-Encoding: gzip", FITTING), (415,)),
    "another request within": (
        request(sized(len(BODY) + 56), body=BODY + WITHIN.ljust(56)), BAD),
    "a body that is cut": (request(sized(5000)), CLOSED),
    "chunks that are cut": (request(CHUNKED, body=b"ff\r\n" + BODY), CLOSED),
    "headers that are cut": (request(FITTING)[:60], CLOSED),
    "a line that is cut": (b"POST /v1/comp", CLOSED),
    "nothing": (b"", CLOSED),
    "an expected body that does not come": (
        request(b"Expect: 100-continue", FITTING, body=b""), (0, 100)),
}  # fmt: skip
"""What is sent, and the status of the first response; 0 where the connection is closed instead."""

FORBIDDEN, LOCKED = (403,), (401,)
HOSTS = {
    "another": ("evil.example", FORBIDDEN), "a longer one": ("localhost.evil.example", FORBIDDEN),
    "one with a user": ("localhost@evil.example", FORBIDDEN), "none": ("", FORBIDDEN),
    "a port of letters": ("localhost:x", FORBIDDEN), "a bracket": ("[::1", FORBIDDEN),
    "another network's": ("192.168.0.1", FORBIDDEN), "all networks": ("0.0.0.0", FORBIDDEN),
    "escapes": ("\x1b[2J", (400, 403)), "a long one": ("a" * 9000, FORBIDDEN),
    "two names": ("localhost, evil.example", FORBIDDEN), "a path": ("localhost/..", (200, 403)),
}  # fmt: skip
ORIGINS = {
    "another": "https://evil.example", "null": "null", "a longer one": "http://localhost.evil.example",
    "a file": "file:///etc/passwd", "a bracket": "http://[", "a star": "*", "latin": "http://\xe9",
}  # fmt: skip
KEYS = {
    "none": {}, "another": {"Authorization": "Bearer other"}, "empty": {"Authorization": "Bearer "},
    "a part": {"Authorization": f"Bearer {KEY[:-1]}"}, "more": {"Authorization": f"Bearer {KEY}x"},
    "another kind": {"Authorization": f"Basic {KEY}"}, "no kind": {"Authorization": KEY},
    "latin": {"Authorization": "Bearer \xff\xfe"}, "of another header": {"X-Api-Key": "x"},
    "a list": {"Authorization": f"Bearer {KEY},{KEY}"},
    "a long one": {"Authorization": "Bearer " + "a" * 9000},
}  # fmt: skip


def cases() -> list[Case]:
    """Return all such requests."""
    found = [
        Case("HTTP", name, raw=raw, statuses=statuses) for name, (raw, statuses) in BYTES.items()
    ]
    for name, (host, statuses) in HOSTS.items():
        headers = {**RIGHT, "Host": host}
        found.append(Case("host", name, body=BODY, headers=headers, statuses=statuses))
    for name, origin in ORIGINS.items():
        headers = {**RIGHT, "Origin": origin}
        found.append(Case("origin", name, body=BODY, headers=headers, statuses=FORBIDDEN))
    for name, headers in KEYS.items():
        found.append(
            Case("key", name, body=BODY, headers={"Host": "localhost", **headers}, statuses=LOCKED)
        )
    return found
