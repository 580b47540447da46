"""The official SDK of the Model Context Protocol as an agent of the program, in both its forms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from client_packages import package
from program import Program

mcp = package("mcp")

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
LONG = {"question": "Tell me all that you know.", "max_tokens": 100_000}
ENDLESS = ("--ignore-eos", "-c", "100000", "--no-fit")
MODES = ("auto", "legacy")


def run(chat: Program, mode: str, work: Callable[[Any], Awaitable[None]], *flags: str) -> None:
    """Let `work` have a client of the program, which is started and ended by the SDK."""

    async def go() -> None:
        flagged = ["mcp", "-t", "1", *flags]
        started = mcp.StdioServerParameters(command=str(chat.path), args=flagged)
        async with mcp.Client(started, mode=mode) as client:
            await work(client)

    asyncio.run(asyncio.wait_for(go(), 120))


@pytest.mark.parametrize("mode", MODES)
def test_the_tool_is_listed_and_asked(chat: Program, mode: str) -> None:
    async def work(client: Any) -> None:
        (tool,) = (await client.list_tools()).tools
        assert ("ask", True) == (tool.name, tool.annotations.read_only_hint)
        found = await client.call_tool("ask", {"question": FRANCE, "temperature": 0})
        assert (PARIS, False) == (found.content[0].text, found.is_error)
        wrong = await client.call_tool("ask", {"question": 5})
        assert (True, "'question' must be a text") == (wrong.is_error, wrong.content[0].text)

    run(chat, mode, work)


@pytest.mark.parametrize("mode", MODES)
def test_errors_are_those_of_the_protocol(chat: Program, mode: str) -> None:
    async def work(client: Any) -> None:
        with pytest.raises(mcp.MCPError, match="there is no tool of that name"):
            await client.call_tool("sing", {})
        with pytest.raises(mcp.MCPError):
            await client.list_resources()

    run(chat, mode, work)


@pytest.mark.parametrize("mode", MODES)
def test_progress_is_told_and_a_call_is_given_up(chat: Program, mode: str) -> None:
    told: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async def work(client: Any) -> None:
        call = client.call_tool("ask", LONG, progress_callback=note)
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await asyncio.wait_for(call, 4)
        found = await client.call_tool("ask", {"question": FRANCE, "max_tokens": 20})
        assert found.content[0].text.startswith(PARIS[:10])

    run(chat, mode, work, *ENDLESS)
    assert told and "writing: " in told[-1]


def test_several_calls_at_once(chat: Program) -> None:
    async def work(client: Any) -> None:
        calls = (client.call_tool("ask", {"question": FRANCE, "temperature": 0}) for _ in range(5))
        for found in await asyncio.gather(*calls):
            assert PARIS == found.content[0].text

    run(chat, "auto", work, "-np", "2")
