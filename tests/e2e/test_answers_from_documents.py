"""Answers from documents by the produced executable: in a pipe, over the API, on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from diaries import EVIL, FOUND_NOTHING, NOTHING, QUICK, RAIN, SAYS, made, talking_model
from library import DOCUMENTS, questions
from program import Done, Program
from repertoire import cue
from server_client import call, events, get, post, said
from servers import Served, serve

CITED = re.compile(r"\[(\d+(?:, \d+)*)\]")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talking_model(tmp_path_factory.mktemp("model") / "talker.gguf")


@pytest.fixture(scope="module")
def diary(model: Path, modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:
    return made(modelembed, model, tmp_path_factory.mktemp("diary"))


@pytest.fixture(scope="module")
def served(diary: Program) -> Iterator[Served]:
    with serve(diary, "-np", "1") as running:
        yield running
        assert "error:" not in "".join(running.said)


def chat(served: Served, question: str, status: int = 200, **more: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    return post(served, "/v1/chat/completions", {"messages": messages, **more}, status)


def asked(diary: Program, question: str, *flags: str) -> Done:
    # A cue looks like a sign of turns, as they are written out to be continued.
    done = diary("-p", question, "--no-raw", *flags)
    assert done.code == 0, done.err
    return done


def test_in_a_pipe_the_answer_stands_alone(diary: Program) -> None:
    done = asked(diary, RAIN)

    assert "It rained in May [1], not in June [2].\n```py\nrow [7]\n```\n" == done.out
    first, *lines = done.err.splitlines()
    assert "sources:" == first
    assert 3 == len(lines)
    assert re.fullmatch(r"\[1\] \S+( · .+)?", lines[0])
    assert "1 citation of passages that there are not was removed" == lines[-1]


def test_nothing_found_is_answered_so(diary: Program) -> None:
    done = asked(diary, NOTHING)
    assert (f"{FOUND_NOTHING}\n", "") == (done.out, done.err)
    assert asked(diary, "Wo sind die Zebras?").out.startswith("Dazu habe ich in den Dokumenten")


def test_documents_cannot_speak_for_the_user(diary: Program) -> None:
    done = asked(diary, RAIN)

    assert "evil.txt" in asked(diary, f"What was forgotten? {cue('lost')}").err
    assert EVIL not in done.out
    # The same by the user's own will.
    assert EVIL in asked(diary, f"{RAIN} {cue('evil')}").out


def test_without_passages_the_model_is_asked_alone(diary: Program) -> None:
    done = asked(diary, RAIN, "--passages", "0")

    assert (f"{SAYS['rain']}\n", "") == (done.out, done.err)


def test_a_chat_tells_and_searches(diary: Program) -> None:
    lines = [RAIN, "/sources", "/find rain path:may", "/find zebra", "/exit"]
    done = diary("-i", stdin="\n".join(lines))

    assert done.code == 0, done.err
    assert "not in June [2].\n```py\nrow [7]\n```\nsources:\n[1] " in done.out
    assert "    It did rain all day in Kyoto" in done.out
    assert done.out.endswith("nothing was found\n")


def test_openais_client_sees_the_sources(served: Served) -> None:
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none")
    messages: Any = [{"role": "user", "content": RAIN}]

    answer = client.chat.completions.create(model="any", messages=messages)

    assert answer.model_extra
    sources = answer.model_extra["sources"]
    assert [1, 2, 3] == [source["number"] for source in sources]
    assert [True, True, False] == [source["cited"] for source in sources]
    assert 1 == answer.model_extra["removed_citations"]
    assert {"diary/may.md", "diary/june.md", "evil.txt"} == {one["path"] for one in sources}
    may = next(one for one in sources if one["path"] == "diary/may.md")
    assert ("2024-05-03", "Kyoto", 0) == (may["date"], may["heading"], may["page"])

    stream = client.chat.completions.create(
        model="any", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = [*stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert answer.choices[0].message.content == text
    (told,) = [chunk for chunk in chunks if (chunk.model_extra or {}).get("sources")]
    assert "stop" == told.choices[0].finish_reason
    assert sources == told.model_extra["sources"]  # type: ignore[index]
    assert [] == chunks[-1].choices and chunks[-1].usage


def test_the_conversation_before_is_read_from_the_cache(served: Served) -> None:
    first = chat(served, RAIN)
    before = [{"role": "user", "content": RAIN}, first["choices"][0]["message"]]
    body = {"messages": [*before, {"role": "user", "content": RAIN}]}

    found = post(served, "/v1/chat/completions", body)

    assert said(first) == said(found)
    assert "May" in found["sources"][0]["text"] or found["sources"]


def test_nothing_found_is_an_ordinary_answer(served: Served) -> None:
    answer = chat(served, NOTHING, n=2)

    assert [FOUND_NOTHING] * 2 == [one["message"]["content"] for one in answer["choices"]]
    assert {"stop"} == {one["finish_reason"] for one in answer["choices"]}
    assert (0, 0) == (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
    assert ([], 0) == (answer["sources"], answer["removed_citations"])

    body = {"messages": [{"role": "user", "content": NOTHING}]}
    parts = events(served, "/v1/chat/completions", body)
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in parts)
    assert FOUND_NOTHING == text
    assert "stop" == parts[-1]["choices"][0]["finish_reason"]
    assert [] == parts[-1]["sources"]
    body["stream_options"] = {"include_usage": True}  # type: ignore[assignment]
    assert 0 == events(served, "/v1/chat/completions", body)[-1]["usage"]["total_tokens"]


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"grammar": 'root ::= "yes"'},
        {"documents": False},
    ],
    ids=["tools", "json", "grammar", "not wanted"],
)
def test_where_documents_are_not_used(served: Served, more: dict[str, Any]) -> None:
    answer = chat(served, NOTHING, max_tokens=2, **more)

    assert "sources" not in answer
    if more != {"documents": False}:
        error = chat(served, NOTHING, 400, documents=True, **more)["error"]
        assert "'documents' cannot be used: the answer m" in error["message"]
        assert "documents" == error["param"]


def test_a_search_gives_passages(served: Served) -> None:
    found = post(served, "/v1/search", {"query": "rain path:diary", "limit": 1})

    assert "rain" == found["query"]
    (one,) = found["data"]
    assert one["path"].startswith("diary/")
    document = get(served, f"/v1/documents/{one['document']}?begin={one['begin']}&end={one['end']}")
    assert one["text"] == document["text"]
    assert one["path"] == document["path"]
    assert document["size"] >= document["end"]

    error = post(served, "/v1/search", {"query": "rain after:spring"}, 400)["error"]
    assert "after:spring has no date" in error["message"]
    assert 400 == call(served, "GET", "/v1/documents/x")[0]
    assert 404 == call(served, "GET", "/v1/documents/77")[0]
    assert 3 == get(served, "/props")["modelembed"]["documents"]
    paths = get(served, "/openapi.json")["paths"]
    names = [one["name"] for one in paths["/v1/documents/{number}"]["get"]["parameters"]]
    assert ["number", "begin", "end"] == names


def test_without_documents_there_is_nothing_to_search(site: Served) -> None:
    error = post(site, "/v1/search", {"query": "rain"}, 404)["error"]

    assert "this program has no documents" in error["message"]
    assert 0 == get(site, "/props")["modelembed"]["documents"]


def test_no_citation_points_nowhere(
    model: Path, modelembed: Program, tmp_path: Path
) -> None:  # fmt: skip
    """Whatever passages there are for the questions of the library, and whatever is cited."""
    program = tmp_path / "library"
    done = modelembed(
        "bundle", str(model), "-o", str(program), "--docs", str(DOCUMENTS), *QUICK
    )  # fmt: skip
    assert done.code == 0, done.err
    chosen = questions()[::3] + questions()[1::3]
    assert len(chosen) >= 200
    answered = removed = 0
    with serve(Program(program), "-t", "1", "-np", "1", "--passages", "2") as running:
        for question in chosen:
            answer = chat(running, f"{question.question} {cue('lost')}")
            given = {source["number"] for source in answer["sources"]}
            cited = {
                int(number)
                for numbers in CITED.findall(said(answer))
                for number in numbers.split(", ")
            }
            assert cited <= given, question
            assert cited == {one["number"] for one in answer["sources"] if one["cited"]}
            answered += bool(given)
            removed += answer["removed_citations"]
    assert answered >= 190
    assert removed >= 3 * answered
