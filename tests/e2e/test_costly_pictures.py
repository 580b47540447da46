"""The costliest pictures within the bounds: seconds of one core, and nobody else waits for them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator

import costly_pictures
import pytest
from program import Program
from projectors import write_pair
from servers import Served, serve

SECONDS = 60
COST = 8.0
"""Of processor time for one, with all that is done for a request; docs/bounds.md has what it is."""
PROMPT = 3.0
"""Seconds within which others are answered meanwhile."""
TAKEN, REFUSED = costly_pictures.taken(), costly_pictures.refused()


@pytest.fixture(scope="module")
def seeing(chat: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pair = write_pair(tmp_path_factory.mktemp("seeing"), "llava")
    flags = ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1",
             "--max-body", "64")  # fmt: skip
    with serve(chat, *flags) as running:
        asked(running, costly_pictures.blocks(4))  # what is done once
        yield running


def asked(server: Served, *pictures: bytes) -> tuple[int, str]:
    """Ask about pictures; return the status, and what the error says."""
    images = [base64.b64encode(data).decode() for data in pictures]
    body = {"prompt": "What?", "images": images, "stream": False, "options": {"num_predict": 1}}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    try:
        connection.request("POST", "/api/generate", json.dumps(body))
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    return response.status, str(answer.get("error", ""))


def processor_time(server: Served) -> float:
    """Return the processor time of the server and the processes below it."""
    total, found = 0.0, [server.process.pid]
    while found:
        process = found.pop()
        try:
            with open(f"/proc/{process}/stat") as file:
                times = file.read().rpartition(")")[2].split()[11:13]
            with open(f"/proc/{process}/task/{process}/children") as file:
                found += map(int, file.read().split())
        except OSError:
            continue
        total += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return total


@pytest.mark.parametrize("name", TAKEN)
def test_the_costliest_pictures_take_seconds(seeing: Served, name: str) -> None:
    before = processor_time(seeing)
    status, said = asked(seeing, TAKEN[name])
    cost = processor_time(seeing) - before

    print(f"{name}: {cost:.1f} s, {len(TAKEN[name]):,} bytes")
    assert (200, "") == (status, said)
    assert cost < COST


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_take_longer_is_refused(seeing: Served, name: str) -> None:
    before = processor_time(seeing)
    status, said = asked(seeing, REFUSED[name])
    cost = processor_time(seeing) - before

    assert status == 400
    assert len(said) > 20
    assert cost < COST


def test_others_are_answered_while_one_is_decoded(seeing: Served) -> None:
    longest = 0.0
    over = threading.Event()

    def decode() -> None:
        for name in ("a progressive JPEG", "a GIF of long codes", "an interlaced PNG"):
            asked(seeing, TAKEN[name])
        over.set()

    thread = threading.Thread(target=decode)
    thread.start()
    count = 0
    while not over.is_set():
        begin = time.monotonic()
        status = seeing.post("/completion", {"prompt": "Once upon", "n_predict": 2})
        longest = max(longest, time.monotonic() - begin)
        assert status == 200
        count += 1
    thread.join()

    assert count >= 3
    assert longest < PROMPT


def test_many_costly_pictures_are_given_up(seeing: Served) -> None:
    """Each is within the bounds, all of them together are not: the time for a request is."""
    small = costly_pictures.refined(512, zeros=False)
    before = processor_time(seeing)
    status, said = asked(seeing, *[small] * 60)
    cost = processor_time(seeing) - before

    assert status == 400
    assert "take longer than 20 seconds to decode" in said
    assert cost < 20 + 2 * COST
