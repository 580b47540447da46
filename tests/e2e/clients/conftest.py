"""The client libraries that programs are written with, and a server that says what each test wants.

A test module lists in SAYS what its model can say, for `repertoire.write`. Every test is run with a
chat template that has a form for tools, and with one that has none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import repertoire
from chat_templates import HERMES
from ggufs import CHATML
from program import Program
from servers import Served, serve

TEMPLATES = {"native": HERMES, "generic": CHATML}
QUIET = {
    # What some clients would report to their makers.
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
}
os.environ.update(QUIET)
LOCAL = ("127.0.0.1", "localhost", None)
_guard: dict[str, Any] = {"on": False, "asked": []}


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _guard["on"]:
        return
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if (host.decode() if isinstance(host, bytes) else host) not in LOCAL:
        _guard["asked"].append(host)
        raise PermissionError(f"a test asks for {host}")


sys.addaudithook(_watch)  # below whatever way a client takes to the network


@pytest.fixture(autouse=True, scope="module")
def _nothing_leaves_this_machine() -> Iterator[None]:
    _guard.update(on=True, asked=[])
    yield
    _guard["on"] = False
    assert [] == _guard["asked"]


@pytest.fixture(scope="module", params=TEMPLATES)
def server(
    request: pytest.FixtureRequest, modelembed: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Return a server whose model says what the module's SAYS has."""
    folder = tmp_path_factory.mktemp("talker")
    model = folder / "talker.gguf"
    repertoire.write(model, *request.module.SAYS, template=TEMPLATES[request.param])
    done = modelembed(
        "bundle", str(model), "-o", str(folder / "talker"), "--compress", "none", "--no-check",
        "--set", "temp=0",
    )  # fmt: skip
    assert done.code == 0, done.err
    model.unlink()
    with serve(Program(folder / "talker"), "-t", "1", "-np", "1") as running:
        yield running
        assert "error:" not in "".join(running.said)


@pytest.fixture(scope="module")
def url(server: Served) -> str:
    return f"{server.url}/v1"
