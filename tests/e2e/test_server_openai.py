"""The produced server, asked by the client that most programs use: OpenAI's own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from chat_templates import HERMES
from program import Program
from servers import Served, serve

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
STORY = "Tell me a story."
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "4", "--api-key", "sesame,other") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sesame", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def caller(chat: Program) -> Iterator[openai.OpenAI]:
    """Return a client of a model whose template has tools and thoughts."""
    with (
        serve(chat, "-t", "1", "--chat-template", HERMES) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as made,
    ):
        yield made


def named(tool: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool}}


def said(client: openai.OpenAI, text: str = FRANCE, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="x", messages=messages, **options)


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    models = client.models.list().data
    assert len(models) == 1
    assert client.models.retrieve(models[0].id).id == models[0].id
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.models.retrieve("gpt-5")


def test_a_chat_whole(client: openai.OpenAI) -> None:
    answer = said(client)

    assert [PARIS] == [choice.message.content for choice in answer.choices]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.id.startswith("chatcmpl-")


def test_a_chat_as_it_comes(client: openai.OpenAI) -> None:
    chunks = list(said(client, stream=True, stream_options={"include_usage": True}))
    *parts, last = chunks

    assert PARIS == "".join(chunk.choices[0].delta.content or "" for chunk in parts)
    assert [chunk.choices[0].finish_reason for chunk in parts][-1] == "stop"
    assert all(chunk.usage is None for chunk in parts)
    assert last.choices == []
    assert last.usage and last.usage.completion_tokens > 5
    assert last.timings["predicted_n"] == last.usage.completion_tokens
    assert parts[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1

    plain = list(said(client, stream=True))
    assert plain[-1].choices[0].finish_reason == "stop"
    assert "usage" not in plain[-1].model_fields_set
    assert plain[-1].timings["predicted_n"] > 5


def test_a_conversation_with_parts_and_a_system_message(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="x",
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "My name is Ada."}]},
            {"role": "assistant", "content": "Nice to meet you, Ada."},
            {"role": "user", "content": "What is my name?"},
        ],
    )
    assert "Your name is Ada." == answer.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="text only") as caught:
        client.chat.completions.create(
            model="x",
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}],
                }
            ],
        )
    assert caught.value.param == "messages[0].content[0]"


def test_several_answers(client: openai.OpenAI) -> None:
    wild: dict[str, Any] = {"n": 3, "temperature": 1.8, "top_p": 1, "seed": 5, "max_tokens": 12}
    wild["extra_body"] = {"top_k": 0, "min_p": 0, "ignore_eos": True}
    answer = said(client, STORY, **wild)
    texts = [choice.message.content for choice in answer.choices]

    assert [0, 1, 2] == [choice.index for choice in answer.choices]
    assert len(set(texts)) == 3
    assert [c.finish_reason for c in answer.choices] == ["length"] * 3
    assert answer.usage and answer.usage.completion_tokens == 36

    collected = ["", "", ""]
    ends = []
    for chunk in said(client, STORY, **wild, stream=True):  # fmt: skip
        for choice in chunk.choices:
            collected[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
    assert len(set(collected)) == 3
    assert [0, 1, 2] == sorted(ends)
    wild["n"] = 1
    assert len({said(client, STORY, **wild).choices[0].message.content for _ in range(3)}) == 1


def test_limits_and_stops(client: openai.OpenAI) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        short = said(client, **{name: 3})
        assert short.choices[0].finish_reason == "length"
        assert short.usage and short.usage.completion_tokens == 3
    for stop in ("France", ["nowhere", "France"]):
        answer = said(client, stop=stop)
        assert "The capital of " == answer.choices[0].message.content
        assert answer.choices[0].finish_reason == "stop"
    streamed = said(client, stop=["France"], stream=True)
    assert "The capital of " == "".join(c.choices[0].delta.content or "" for c in streamed)


def test_parts_of_a_character_do_not_hide_the_likeliest_token(client: openai.OpenAI) -> None:
    """Several of them are shown alike, and alternatives are told by what is shown."""
    answer = client.completions.create(
        model="any", prompt="ı́ğ中日 " * 3, max_tokens=20, logprobs=20, temperature=0,
        extra_body={"ignore_eos": True, "logit_bias": [[number, 5] for number in range(160, 256)]},
    )  # fmt: skip
    found = answer.choices[0].logprobs
    assert found and found.tokens and found.top_logprobs and found.token_logprobs
    assert sum("\ufffd" in token for token in found.tokens)
    for token, logprob, others in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, strict=True
    ):
        assert logprob is not None
        assert others.get(token, 0) >= logprob


def test_logprobs(client: openai.OpenAI) -> None:
    answer = said(client, logprobs=True, top_logprobs=3)
    choice = answer.choices[0]
    assert choice.logprobs and choice.logprobs.content
    assert PARIS.encode() == b"".join(bytes(one.bytes or ()) for one in choice.logprobs.content)
    for one in choice.logprobs.content:
        assert len(one.top_logprobs) == 3
        assert math.isclose(one.logprob, one.top_logprobs[0].logprob, abs_tol=1e-6)
        assert one.logprob <= 0
    streamed = []
    for chunk in said(client, logprobs=True, stream=True):
        if chunk.choices[0].logprobs:
            streamed += chunk.choices[0].logprobs.content or []
    assert PARIS == "".join(one.token for one in streamed)
    assert said(client).choices[0].logprobs is None
    with pytest.raises(openai.BadRequestError, match="top_logprobs"):
        said(client, top_logprobs=3)


def test_biases_and_penalties_change_the_answer(client: openai.OpenAI) -> None:
    tokens = client.post("/../tokenize", body={"content": " Paris"}, cast_to=object)
    assert isinstance(tokens, dict)
    banned = said(client, logit_bias={str(tokens["tokens"][0]): -100})
    assert PARIS != banned.choices[0].message.content
    penalised = said(client, frequency_penalty=2, presence_penalty=2, max_tokens=40)
    assert penalised.choices[0].message.content


def test_llama_cpps_extras(client: openai.OpenAI) -> None:
    extra = {"top_k": 1, "min_p": 0.1, "cache_prompt": False, "grammar": 'root ::= "yes" | "no"'}
    answer = said(client, temperature=1.5, extra_body=extra)
    assert answer.choices[0].message.content in ("yes", "no")
    assert answer.usage and answer.usage.prompt_tokens_details
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    again = said(client)
    assert again.usage and again.usage.prompt_tokens_details
    assert again.usage.prompt_tokens_details.cached_tokens  # type: ignore[operator]


def test_answers_held_to_json(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "sure": {"type": "boolean"}},
        "required": ["city", "sure"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    found = json.loads(said(client, response_format=form).choices[0].message.content or "")
    assert found["city"] in ("Paris", "Rome")
    assert isinstance(found["sure"], bool)
    plain = said(client, response_format={"type": "json_object"}, max_tokens=200)
    if plain.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(plain.choices[0].message.content or ""), dict)
    assert (plain.choices[0].message.content or "").startswith("{")
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "whole"}}}
    with pytest.raises(openai.BadRequestError, match="#/type"):
        said(client, response_format=bad)


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="x", prompt="Once upon a time", max_tokens=4)
    assert answer.object == "text_completion"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage and answer.usage.completion_tokens == 4
    streamed = client.completions.create(
        model="x", prompt="Once upon a time", max_tokens=4, stream=True
    )
    assert answer.choices[0].text == "".join(c.choices[0].text for c in streamed if c.choices)
    several = client.completions.create(
        model="x", prompt=["one", "two"], n=2, echo=True, max_tokens=2, logprobs=2
    )
    assert [0, 1, 2, 3] == [choice.index for choice in several.choices]
    assert [c.text[:3] for c in several.choices] == ["one", "one", "two", "two"]
    logprobs = several.choices[0].logprobs
    assert logprobs and logprobs.tokens and len(logprobs.tokens) == 2
    assert logprobs.text_offset and logprobs.text_offset[0] == 3
    with pytest.raises(openai.BadRequestError, match="suffix"):
        client.completions.create(model="x", prompt="a", suffix="b")


def test_wrong_requests_name_the_field(client: openai.OpenAI) -> None:
    for options, field in (
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 3}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"logit_bias": {"99999999": 1}}, None),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"extra_body": {"grammar": "root ::= ("}}, None),
        ({"extra_body": {"grammar": "(" * 500}}, "grammar"),
        ({"stop": ["x"] * 100}, "stop"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            said(client, **options)
        assert field is None or caught.value.param == field, options
        assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match="context") as caught:
        said(client, "word " * 3000)
    assert caught.value.code == "context_length_exceeded"
    assert said(client, extra_body={"unknown": {"field": 1}}).choices[0].message.content == PARIS


def test_keys(server: Served) -> None:
    def ask(key: str) -> object:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as one:
            return one.models.list().data

    assert ask("other")
    for wrong in ("sesam", "sesame2", "sesame,other"):
        with pytest.raises(openai.AuthenticationError, match="API key"):
            ask(wrong)


def test_embeddings_of_a_model_that_makes_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="--pooling") as caught:
        client.embeddings.create(model="x", input="hello")
    assert caught.value.status_code == 501


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_tool_that_must_be_called(caller: openai.OpenAI, choice: object) -> None:
    answer = said(caller, tools=[WEATHER], tool_choice=choice).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    calls = answer.message.tool_calls
    assert calls and calls[0].type == "function"
    assert calls[0].function.name == "weather"
    arguments = json.loads(calls[0].function.arguments)
    assert arguments["city"] in ("Paris", "Rome")

    name, text, reason = "", "", None
    for chunk in said(caller, tools=[WEATHER], tool_choice=choice, stream=True):
        if not chunk.choices:
            continue
        for call in chunk.choices[0].delta.tool_calls or ():
            name += call.function.name or ""
            text += call.function.arguments or ""
            assert call.index == 0
        reason = chunk.choices[0].finish_reason or reason
    assert ("weather", arguments, "tool_calls") == (name, json.loads(text), reason)


def test_tools_that_may_be_called(caller: openai.OpenAI) -> None:
    grammar = (
        'root ::= "Let me see. <tool_call>\\n" call "\\n</tool_call>\\n<tool_call>\\n" call '
        '"\\n</tool_call>"\n'
        'call ::= "{\\"name\\": \\"weather\\", \\"arguments\\": {\\"city\\": \\"Rome\\"}}"'
    )
    answer = said(caller, tools=[WEATHER], extra_body={"grammar": grammar}).choices[0]
    assert "Let me see. " == answer.message.content
    assert [("weather", '{"city": "Rome"}')] * 2 == [
        (call.function.name, call.function.arguments) for call in answer.message.tool_calls or ()
    ]
    none = said(
        caller, tools=[WEATHER], tool_choice="none", extra_body={"grammar": 'root ::= "no"'}
    )
    assert "no" == none.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="no tool 'rain'"):
        said(
            caller, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "rain"}}
        )


def test_what_tools_answered_is_shown_to_the_model(caller: openai.OpenAI) -> None:
    answer = caller.chat.completions.create(
        model="x",
        messages=[
            {"role": "user", "content": "How is the weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        ],
        max_tokens=3,
    )
    assert answer.usage and answer.usage.prompt_tokens > 20


def test_thoughts_are_told_apart(caller: openai.OpenAI) -> None:
    extra = {"grammar": 'root ::= "<think>Hm, well.</think>\\n\\nYes."'}
    message = said(caller, extra_body=extra).choices[0].message
    assert "Yes." == message.content
    assert "Hm, well." == message.reasoning_content  # type: ignore[attr-defined]
    deltas = [c.choices[0].delta for c in said(caller, extra_body=extra, stream=True) if c.choices]
    assert "Yes." == "".join(delta.content or "" for delta in deltas)
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert "Hm, well." == thought
    raw = said(caller, extra_body={**extra, "reasoning_format": "none"}).choices[0].message.content
    assert "<think>Hm, well.</think>\n\nYes." == raw
