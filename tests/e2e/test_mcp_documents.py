"""A program with documents as a tool of agents: they search, and are told sources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from diaries import FOUND_NOTHING, NOTHING, RAIN, made, talking_model
from mcp_agent import Agent, agent_of, text
from program import Program


@pytest.fixture(scope="module")
def agent(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("diary")
    program = made(modelembed, talking_model(folder / "talker.gguf"), folder)
    with agent_of(program) as (found, _):
        found.begin()
        yield found


def test_there_are_two_tools(agent: Agent) -> None:
    ask, search = agent.ask("tools/list")["tools"]

    assert ("ask", "search") == (ask["name"], search["name"])
    assert "answers from the documents in its file" in ask["description"]


def test_an_answer_names_the_sources_that_it_cites(agent: Agent) -> None:
    answer, *sources = agent.call(question=RAIN)["content"]

    assert "It rained in May [1], not in June [2]." in answer["text"]
    assert "[9]" not in answer["text"]
    assert 2 == len(sources)
    assert sources[0]["text"].startswith("([1] diary/may.md · ")
    assert sources[1]["text"].startswith("([2] ")
    assert FOUND_NOTHING == text(agent.call(question=NOTHING))


def test_passages_are_found_with_their_places(agent: Agent) -> None:
    def search(**arguments: object) -> list[str]:
        found = agent.ask("tools/call", name="search", arguments=arguments)
        return [one["text"] for one in found["content"]]

    first, *_ = search(query="rain in Kyoto after:2024-05")
    assert first.startswith("[1] diary/may.md")
    assert "It did rain all day in Kyoto" in first
    assert 1 == len(search(query="rain", limit=1))
    assert ["Nothing was found."] == search(query="Zebras")
    (problem,) = search(query="rain after:spring")
    assert "after:spring has no date" in problem
