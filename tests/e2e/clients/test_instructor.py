"""Instructor, in its default way of asking: a tool that must be called, with the answer in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import openai
import pytest
from client_packages import package
from pydantic import BaseModel
from repertoire import cue
from typed_answers import ANSWERS, Address, Nested, as_json

instructor = package("instructor")


def called(*answers: BaseModel, kind: str = "") -> str:
    """Return what a model writes to give answers, in the form of both templates."""
    return "\n".join(
        f'<tool_call>\n{{"name": "{kind}{type(one).__name__}", "arguments": {as_json(one)}}}\n'
        "</tool_call>"
        for one in answers
    )


class Tasks(BaseModel):
    tasks: list[Address]


HOMES = [Address(street="Via Appia", town="Rome"), Address(street="Quai 1", town="Paris")]
NESTED = ANSWERS["nested"]
NAMES = [name for name in ANSWERS if name != "generic"]  # a tool cannot be named `Box[Address]`
SAYS = (
    {
        **{name: called(ANSWERS[name]) for name in NAMES},
        "as it comes": called(NESTED, kind="Partial"),
        "many": called(Tasks(tasks=HOMES)).replace("Tasks", "IterableAddress"),
        "as JSON": as_json(NESTED),
        "in a block": f"Here it is:\n\n```json\n{as_json(NESTED)}\n```",
        "both": called(*HOMES),
    },
)


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield instructor.from_openai(made)


def asked(name: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": cue(name)}]
    return {"model": "x", "messages": messages, "max_retries": 0, **fields}


@pytest.mark.parametrize("name", NAMES)
def test_an_answer(client: Any, name: str) -> None:
    wanted = ANSWERS[name]
    found = client.chat.completions.create(**asked(name), response_model=type(wanted))
    assert wanted.model_dump() == found.model_dump()


def test_an_answer_as_it_comes(client: Any) -> None:
    found = list(
        client.chat.completions.create_partial(**asked("as it comes"), response_model=Nested)
    )
    assert NESTED.model_dump() == found[-1].model_dump()
    assert len(found) > 3
    assert found[0].work is None


def test_many_answers(client: Any) -> None:
    found = client.chat.completions.create_iterable(**asked("many"), response_model=Address)
    assert HOMES == list(found)


def test_answers_in_calls_of_their_own(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        client = instructor.from_openai(made, mode=instructor.Mode.PARALLEL_TOOLS)
        found = client.chat.completions.create(**asked("both"), response_model=Iterable[Address])
        assert HOMES == list(found)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("JSON", "as JSON"), ("JSON_SCHEMA", "as JSON"), ("MD_JSON", "in a block")],
)
def test_other_ways_to_ask(url: str, mode: str, name: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        client = instructor.from_openai(made, mode=instructor.Mode[mode])
        found = client.chat.completions.create(**asked(name), response_model=Nested)
        assert NESTED.model_dump() == found.model_dump()


def test_in_an_event_loop(url: str) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as made:
            client = instructor.from_openai(made)
            return await client.chat.completions.create(**asked("nested"), response_model=Nested)

    assert NESTED.model_dump() == asyncio.run(ask()).model_dump()
