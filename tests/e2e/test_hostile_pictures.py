"""Hostile pictures against a program that sees: an error that says why, and no crash or hang."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from encoded_pictures import exif, jpeg, png, segment
from hostile_pictures import OPENED, REFUSED, noise
from program import Program
from projectors import write_pair
from servers import Served, serve

SECONDS = 20
WHOLE = f"data:image/png;base64,{base64.b64encode(png()).decode()}"


@pytest.fixture(scope="module")
def seeing(chat: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pair = write_pair(tmp_path_factory.mktemp("seeing"), "llava")
    flags = ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1", "--access-log",
             "--allow-image-urls")  # fmt: skip
    with serve(chat, *flags) as running:
        yield running


def asked(server: Served, *urls: str) -> tuple[int, str]:
    """Ask about pictures; return the status, and what the answer or the error says."""
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content = [*parts, {"type": "text", "text": "What is that?"}]
    body = json.dumps({"messages": [{"role": "user", "content": content}], "max_tokens": 1})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", body)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    return response.status, answer["error"]["message"] if response.status != 200 else ""


def url_of(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def resident(server: Served) -> float:
    """Return the memory of the server and the processes below it, in MB."""
    total, found = 0, [server.process.pid]
    while found:
        process = found.pop()
        try:
            with open(f"/proc/{process}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
            with open(f"/proc/{process}/task/{process}/children") as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return total / 1000


def test_hostile_pictures_are_refused_by_the_server(seeing: Served) -> None:
    assert (200, "") == asked(seeing, WHOLE)
    before, wrong = resident(seeing), {}
    for name, data in REFUSED.items():
        begin = time.monotonic()
        status, said = asked(seeing, url_of(data))
        if status != 400 or len(said) < 20 or time.monotonic() - begin > SECONDS / 2:
            wrong[name] = (status, said)

    assert {} == wrong
    assert len(REFUSED) >= 200
    assert (200, "") == asked(seeing, WHOLE)
    assert seeing.process.poll() is None
    assert resident(seeing) - before < 300  # MB: nothing was unpacked


def test_strange_pictures_are_taken_or_refused(seeing: Served) -> None:
    statuses = {
        name: asked(seeing, url_of(data))[0]
        for name, data in {**OPENED, **noise(300, seed=7)}.items()
    }

    assert {200, 400} == set(statuses.values())
    assert 200 == statuses["a progressive JPEG"] == statuses["a GIF of 500 pictures"]
    assert (200, "") == asked(seeing, WHOLE)
    assert seeing.process.poll() is None


def forms(data: bytes) -> dict[str, dict[str, Any]]:
    """Return requests of the other protocols that ask about a picture, by their paths."""
    text = base64.b64encode(data).decode()
    seen = {"type": "input_image", "image_url": url_of(data)}
    source = {"type": "base64", "media_type": "image/png", "data": text}
    block = {"type": "image", "source": source}
    return {
        "/v1/responses": {"input": [{"role": "user", "content": [seen]}], "max_output_tokens": 16},
        "/v1/messages": {"messages": [{"role": "user", "content": [block]}], "max_tokens": 1},
        "/api/chat": {
            "messages": [{"role": "user", "content": "What?", "images": [text]}],
            "stream": False,
            "options": {"num_predict": 1},
        },
        "/completion": {
            "prompt": {"prompt_string": "<__media__> What?", "multimodal_data": [text]},
            "n_predict": 1,
        },
    }


@pytest.mark.parametrize("path", forms(b""))
def test_the_other_protocols_refuse_them_too(seeing: Served, path: str) -> None:
    wrong = {name: seeing.post(path, forms(data)[path]) for name, data in [*REFUSED.items()][::8]}

    assert {400} == set(wrong.values())
    assert 200 == seeing.post(path, forms(png())[path])


def test_the_type_that_is_claimed_means_nothing(seeing: Served) -> None:
    assert 200 == asked(seeing, url_of(jpeg(), "image/svg+xml"))[0]
    assert 400 == asked(seeing, url_of(b"<svg/>", "image/png"))[0]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/a.png", "is not on the public internet"),
        ("http://localhost/a.png", "is not on the public internet"),
        ("http://[::1]/a.png", "is not on the public internet"),
        ("http://169.254.169.254/latest/meta-data", "is not on the public internet"),
        ("http://0x7f.1/", "is not on the public internet"),
        ("http://user:word@127.0.0.1/", "has a user's name"),
        ("http://127.0.0.1:8080/", "port 8080 is not asked"),
        ("file:///etc/passwd", "is no address of a picture"),
        ("", ""),
    ],
)
def test_neighbours_are_not_asked_for_pictures(seeing: Served, url: str, says: str) -> None:
    status, said = asked(seeing, url)

    assert 400 == status
    assert says in said


def test_its_own_server_is_not_asked(seeing: Served) -> None:
    """Not even where its port is the web's, as in a container."""
    for name in ("127.0.0.1", "localhost", "0"):
        assert 400 == asked(seeing, f"http://{name}:{seeing.port}/page/icon.svg")[0]


def test_without_the_option_nothing_is_fetched(chat: Program, tmp_path_factory: Any) -> None:
    pair = write_pair(tmp_path_factory.mktemp("seeing"), "llava")
    with serve(chat, "-m", str(pair.model), "--mmproj", str(pair.projector)) as server:
        status, said = asked(server, "https://example.org/a.png")
    assert 400 == status
    assert "not fetched from the web here" in said


def test_too_many_pictures_are_refused(seeing: Served) -> None:
    small = url_of(png(2, 2))
    status, said = asked(seeing, *[small] * 65)

    assert 400 == status
    assert "at most 64 are taken" in said


def test_nothing_of_a_picture_reaches_the_log(seeing: Served) -> None:
    noted = segment(0xE1, b"Exif\0\0" + exif(6) + b"52.5 N 13.4 E Berlin")
    assert 200 == asked(seeing, url_of(jpeg(before=noted)))[0]
    assert 400 == asked(seeing, url_of(jpeg(before=noted)[:-30]))[0]
    seeing_said = "".join(seeing.said)

    assert "POST /v1/chat/completions" in seeing_said
    for secret in ("Berlin", "13.4", "base64", "Exif", "/9j/"):
        assert secret not in seeing_said
