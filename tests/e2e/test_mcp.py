"""The produced program as a tool of agents: the Model Context Protocol, message by message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp_agent import ENVELOPE, SECONDS, Agent, agent_of, text
from paths import DEMO
from program import Program

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
LONG = {"question": "Tell me all that you know.", "max_tokens": 100_000}


@pytest.fixture(scope="module")
def agent(chat: Program) -> Iterator[Agent]:
    with agent_of(chat, "-t", "1", "--ignore-eos", "-n", "30") as (found, _):
        found.begin()
        yield found


def test_it_says_what_it_is(chat: Program) -> None:
    with agent_of(chat, "-t", "1") as (agent, process):
        about = agent.begin()
        assert f" {about['serverInfo']['version']}" in chat("--version").out
        (tool,) = agent.ask("tools/list")["tools"]
        assert "ask" == tool["name"]
        assert "is not sent anywhere else" in tool["description"]
        assert PARIS == text(agent.call(question=FRANCE))
        agent.close()
        assert b"" == agent.into.read()
        assert 0 == process.wait(SECONDS)
        assert process.stderr
        assert b"" == process.stderr.read()


def test_without_a_beginning(chat: Program) -> None:
    with agent_of(chat, "-t", "1") as (agent, _):
        assert "tools" in agent.ask("server/discover", _meta=ENVELOPE)["capabilities"]
        arguments = {"question": FRANCE}
        found = agent.ask("tools/call", name="ask", arguments=arguments, _meta=ENVELOPE)
        assert (PARIS, "complete") == (text(found), found["resultType"])


def test_each_question_stands_by_itself(agent: Agent) -> None:
    first = text(agent.call(question=FRANCE, temperature=0))
    assert first == text(agent.call(question=FRANCE, temperature=0))
    other = agent.call(question=FRANCE, temperature=0, system="Answer with one word only.")
    assert other["content"]


def test_an_answer_that_is_cut_says_so(agent: Agent) -> None:
    found = agent.call(question=FRANCE, max_tokens=3)
    assert "(the answer was cut: it may have 3 tokens (max_tokens))" == found["content"][1]["text"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "'question' must be a text"),
        ({"question": None}, "'question' must be a text"),
        ({"question": "x", "max_tokens": 0}, "'max_tokens' must be a number from 1 to"),
        ({"question": "x", "max_tokens": 1.5}, "'max_tokens' must be a whole number"),
        ({"question": "x", "max_tokens": True}, "'max_tokens' must be a number"),
        ({"question": "x", "temperature": -1}, "'temperature' must be a number from 0 to 100"),
        ({"question": "x", "system": []}, "'system' must be a text"),
        ({"question": "x", "model": "y"}, "there is no argument 'model'"),
        ({"question": "word " * 20_000}, "tokens"),
    ],
)
def test_what_cannot_be_asked(agent: Agent, arguments: dict[str, object], says: str) -> None:
    found = agent.call(**arguments)
    assert (True, True) == (found["isError"], says in found["content"][0]["text"]), found


def test_halves_of_characters_are_read_as_something_else(agent: Agent) -> None:
    line = b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "tools/call", "params": '
    agent.write(line + b'{"name": "ask", "arguments": {"question": "\\ud800"}}}')
    found = agent.read()
    assert ("\ud800", False) == (found["id"], found["result"]["isError"])


def test_a_long_answer_tells_of_itself_and_is_ended(chat: Program) -> None:
    with agent_of(chat, "-t", "1", "--ignore-eos", "-c", "100000", "--no-fit") as (agent, _):
        agent.begin()
        token = {"progressToken": "t"}
        agent.send("tools/call", "long", name="ask", arguments=LONG, _meta=token)
        begin = time.monotonic()
        while not agent.told and time.monotonic() < begin + SECONDS:
            assert {} == agent.ask("ping", "ping")
            time.sleep(0.1)
        assert "t" == agent.told[0]["progressToken"]
        agent.send("notifications/cancelled", requestId="long")
        assert PARIS[:10] == text(agent.call(question=FRANCE, max_tokens=20))[:10]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_by_a_signal_whatever_it_does(chat: Program, number: int, code: int) -> None:
    flags = ("-t", "1", "--ignore-eos", "-c", "100000", "--no-fit")
    with agent_of(chat, *flags) as (agent, process):
        agent.begin()
        agent.send("tools/call", 1, name="ask", arguments=LONG, _meta={"progressToken": 1})
        assert json.loads(agent.into.readline())["params"]["progress"] == 1  # it is in work
        os.killpg(process.pid, number)
        assert code == process.wait(SECONDS)


def test_it_ends_when_nobody_listens(chat: Program) -> None:
    flags = ("-t", "1", "--ignore-eos", "-c", "100000", "--no-fit")
    with agent_of(chat, *flags) as (agent, process):
        agent.begin()
        agent.send("tools/call", 1, name="ask", arguments=LONG)
        agent.close()
        agent.into.close()
        assert 0 == process.wait(SECONDS)


def test_what_was_piped_in_is_answered(chat: Program) -> None:
    asked = {"name": "ask", "arguments": {"question": FRANCE}, "_meta": ENVELOPE}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked})
    done = chat("mcp", "-t", "1", stdin=f"{line}\n")
    assert (0, "") == (done.code, done.err)
    assert PARIS == text(json.loads(done.out)["result"])


def test_a_model_that_cannot_be_opened_is_told(chat: Program, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DEMO.read_bytes()[:100_000])
    done = chat("mcp", "-m", str(broken), stdin="")
    assert (1, "") == (done.code, done.out)
    assert "error: " in done.err


def test_a_stub_has_nothing_to_ask(stub: Path) -> None:
    done = Program(stub)("mcp", stdin="")
    assert (2, "") == (done.code, done.out)
    assert "hint: " in done.err


def test_the_streams_are_those_of_the_protocol_alone(chat: Program) -> None:
    """What is not for the agent goes to stderr, with -v as well."""
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    done = subprocess.run(
        [chat.path, "mcp", "-v", "-t", "1"], input=f"{line}\n", capture_output=True, check=True,
        encoding="utf-8",
    )  # fmt: skip
    assert {"jsonrpc": "2.0", "id": 1, "result": {}} == json.loads(done.stdout)
    assert "sandbox: " in done.stderr
