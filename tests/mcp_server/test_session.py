"""A session with an agent, over pipes, with tools of the test's own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from mcp_agent import ENVELOPE, STATELESS, VERSION, Agent, text

from runtime import bounds
from runtime.errors import ModelError
from runtime.mcp import json_rpc, protocol, session
from runtime.mcp.session import About, Session
from runtime.mcp.tool import Answer, Call, Tool
from runtime.mcp.wire import Wire

SECONDS = 20


class Echo:
    """A tool that gives what it is called with, once it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.begun = threading.Semaphore(0)
        self.cancelled = threading.Event()

    def tool(self) -> Tool:
        return Tool("echo", "Echo", "Says it.", {"what": {"type": "string"}}, ("what",), self.run)

    def run(self, call: Call) -> Answer:
        what = call.text("what")
        call.doing = f"echoing {what}"
        call.when_cancelled(self.cancelled.set)
        call.when_cancelled(self.may.set)
        self.begun.release()
        assert self.may.wait(SECONDS)
        if what == "fail":
            raise ModelError("it cannot be said", hint="say something else")
        if what == "break":
            raise KeyError(what)
        return Answer([what])


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def agent(echo: Echo) -> Iterator[Agent]:
    there, here = os.pipe(), os.pipe()
    running = Session(
        Wire(there[0], here[1]), About("test", "1", "Call echo."), [echo.tool()], most=2
    )
    thread = threading.Thread(target=running.serve)
    thread.start()
    with open(there[1], "wb") as out, open(here[0], "rb") as into:
        yield Agent(out, into)
        out.close()
        echo.may.set()
        assert running.ended.wait(SECONDS)
    thread.join()
    os.close(here[1])


@pytest.mark.parametrize("version", protocol.SETTLED)
def test_a_version_that_is_known_is_settled(agent: Agent, version: str) -> None:
    found = agent.begin(version)
    assert (version, {"name": "test", "version": "1"}) == (
        found["protocolVersion"],
        found["serverInfo"],
    )
    assert {"tools": {"listChanged": False}} == found["capabilities"]


@pytest.mark.parametrize("version", ["1999-01-01", STATELESS, None, 5])
def test_for_others_the_latest_is_offered(agent: Agent, version: Any) -> None:
    assert protocol.SETTLED[-1] == agent.begin(version)["protocolVersion"]


def test_nothing_but_a_ping_comes_before_the_beginning(agent: Agent) -> None:
    assert {} == agent.ask("ping")
    for found in (agent.ask("tools/list"), agent.call("echo", what="x")):
        assert json_rpc.INVALID_REQUEST == found["code"]
        assert "'initialize'" in found["message"]


def test_tools_are_listed_and_called(agent: Agent) -> None:
    agent.begin()
    (tool,) = agent.ask("tools/list")["tools"]
    assert ("echo", ["what"]) == (tool["name"], tool["inputSchema"]["required"])
    found = agent.call("echo", what="Zoë \u2028 😀")
    assert "Zoë \u2028 😀" == text(found)
    assert {"content", "isError"} == found.keys()


def test_without_a_beginning_each_request_has_its_version(agent: Agent) -> None:
    found = agent.ask("server/discover", _meta=ENVELOPE)
    assert [STATELESS] == found["supportedVersions"]
    listed = agent.ask("tools/list", _meta=ENVELOPE)
    arguments = {"what": "x"}
    called = agent.ask("tools/call", name="echo", arguments=arguments, _meta=ENVELOPE)
    assert "x" == text(called)
    for one in (found, listed, called):
        assert "complete" == one["resultType"]
        assert {"name": "test", "version": "1"} == one["_meta"][protocol.SERVER_KEY]
    for one in (found, listed):
        assert ("public", True) == (one["cacheScope"], one["ttlMs"] > 0)
    assert json_rpc.METHOD_NOT_FOUND == agent.ask("ping", _meta=ENVELOPE)["code"]


def test_versions_of_requests_that_are_not_spoken(agent: Agent) -> None:
    later = {**ENVELOPE, protocol.VERSION_KEY: "2099-01-01"}
    found = agent.ask("tools/list", _meta=later)
    assert protocol.UNSUPPORTED_VERSION == found["code"]
    assert {"supported": [STATELESS], "requested": "2099-01-01"} == found["data"]
    for half in ({protocol.VERSION_KEY: STATELESS}, {**ENVELOPE, protocol.VERSION_KEY: 5}):
        assert json_rpc.INVALID_PARAMS == agent.ask("tools/list", _meta=half)["code"]


def test_what_is_not_there(agent: Agent) -> None:
    agent.begin()
    assert json_rpc.METHOD_NOT_FOUND == agent.ask("resources/list")["code"]
    assert json_rpc.METHOD_NOT_FOUND == agent.ask("server/discover")["code"]
    for name in ("sing", None, 5, ["echo"]):
        found = agent.ask("tools/call", name=name)
        assert (json_rpc.INVALID_PARAMS, True) == (found["code"], "only echo" in found["message"])
    assert json_rpc.INVALID_PARAMS == agent.ask("tools/call", name="echo", arguments=[1])["code"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "'what' must be a text"),
        ({"what": 5}, "'what' must be a text"),
        ({"what": "x", "whom": "y"}, "there is no argument 'whom', only what"),
        ({"what": "fail"}, "it cannot be said (say something else)"),
    ],
)
def test_what_a_tool_cannot_do_is_told_to_the_model(
    agent: Agent, arguments: dict[str, Any], says: str
) -> None:
    agent.begin()
    found = agent.call("echo", **arguments)
    assert ([{"type": "text", "text": says}], True) == (found["content"], found["isError"])


def test_what_is_a_bug_is_an_error_and_on_stderr(
    agent: Agent, capfd: pytest.CaptureFixture[str]
) -> None:
    agent.begin()
    assert json_rpc.INTERNAL_ERROR == agent.call("echo", what="break")["code"]
    assert "error: echo: KeyError at test_session.py:" in capfd.readouterr().err
    assert "x" == text(agent.call("echo", what="x"))


def test_other_requests_are_answered_during_a_call(agent: Agent, echo: Echo) -> None:
    agent.begin()
    echo.may.clear()
    for identity in ("a", "b"):
        agent.send("tools/call", identity, name="echo", arguments={"what": identity})
        assert echo.begun.acquire(timeout=SECONDS)
    assert {} == agent.ask("ping", 3)
    busy = agent.call("echo", 4, what="c")
    assert (session.BUSY, True) == (busy["code"], "2 calls are in work" in busy["message"])
    again = agent.call("echo", "a", what="c")
    assert json_rpc.INVALID_REQUEST == again["code"]
    echo.may.set()
    assert {"a", "b"} == {agent.read()["id"] for _ in range(2)}


def test_a_call_that_is_cancelled_gets_no_answer(agent: Agent, echo: Echo) -> None:
    agent.begin()
    echo.may.clear()
    agent.send("tools/call", 7, name="echo", arguments={"what": "x"})
    assert echo.begun.acquire(timeout=SECONDS)
    agent.send("notifications/cancelled", requestId=8)
    agent.send("notifications/cancelled", requestId=[7])
    assert {} == agent.ask("ping", 1)
    assert not echo.cancelled.is_set()
    agent.send("notifications/cancelled", requestId=7, reason="not wanted")
    assert echo.cancelled.wait(SECONDS)
    assert {} == agent.ask("ping", 2)
    echo.may.set()
    assert "y" == text(agent.call("echo", 9, what="y"))


def test_progress_is_told_to_who_asks_for_it(
    agent: Agent, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "TELL_SECONDS", 0.01)
    agent.begin()
    echo.may.clear()
    for token in (None, "t"):
        meta = {"progressToken": token} if token else {}
        agent.send("tools/call", 1, name="echo", arguments={"what": "x"}, _meta=meta)
        threading.Timer(0.1, echo.may.set).start()
        assert "x" == text(agent.read()["result"])
        echo.may.clear()
        assert bool(token) == bool(agent.told)
    assert {"t"} == {one["progressToken"] for one in agent.told}
    steps = [one["progress"] for one in agent.told]
    assert sorted({*steps}) == steps
    assert "echoing x" == agent.told[-1]["message"]
    assert {} == agent.ask("ping", 2)  # nothing is told behind the answer
    assert len(steps) == len(agent.told)


def test_what_was_asked_is_answered_behind_the_end(agent: Agent, echo: Echo) -> None:
    agent.begin()
    echo.may.clear()
    agent.send("tools/call", 1, name="echo", arguments={"what": "x"})
    assert echo.begun.acquire(timeout=SECONDS)
    agent.close()
    threading.Timer(0.1, echo.may.set).start()
    assert "x" == text(agent.read()["result"])


def test_who_is_gone_is_not_answered(agent: Agent, echo: Echo) -> None:
    agent.begin()
    echo.may.clear()
    agent.send("tools/call", 1, name="echo", arguments={"what": "x"})
    assert echo.begun.acquire(timeout=SECONDS)
    agent.close()
    agent.into.close()
    assert echo.cancelled.wait(SECONDS)


def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(agent: Agent) -> None:
    agent.write(b"x" * (bounds.TOOL_MESSAGE + 5))
    found = agent.read()
    assert (None, json_rpc.INVALID_REQUEST) == (found["id"], found["error"]["code"])
    agent.write(b"")  # an empty line is none
    assert VERSION == agent.begin()["protocolVersion"]
