"""Demands: each kind of request that people and programs make, and whether its answer is right.

Each asks once and returns "right", "left" if the client went away as it meant to, or else what is
wrong.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

from benchmarks.endurance.client import post, question, said, streamed
from benchmarks.endurance.knowledge import Knowledge

CHAT = "/v1/chat/completions"
CITIES = ["Paris", "Rome", "Oslo"]
PLACE = {
    "type": "object",
    "properties": {"city": {"enum": CITIES}, "streets": {"type": "integer", "maximum": 9999}},
    "required": ["city", "streets"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": PLACE}}
LONG_ANSWER = 2000
"""Tokens of answers that nobody waits for."""
CLOSE = 0.999
"""Of two vectors of the same text: other batches round differently."""

Ask = Callable[[int, Knowledge, random.Random], str]


def whole(port: int, known: Knowledge, chance: random.Random) -> str:
    fact = chance.choice(known.facts)
    return judged(said(post(port, CHAT, question(fact["question"]))), fact["answer"])


def stream(port: int, known: Knowledge, chance: random.Random) -> str:
    fact = chance.choice(known.facts)
    text = ""
    with streamed(port, CHAT, question(fact["question"])) as parts:
        for part in parts:
            text += added(part)
    return judged(text, fact["answer"])


def cut_stream(port: int, known: Knowledge, chance: random.Random) -> str:
    fact, least = chance.choice(known.facts), chance.randint(0, 12)
    text = ""
    with streamed(port, CHAT, question(fact["question"])) as parts:
        for part in parts:
            text += added(part)
            if not fact["answer"].startswith(text):
                return f"mixed up: {text!r} for {fact['answer']!r}"
            if len(text) >= least:
                return "left"
    return judged(text, fact["answer"])


def cancelled(port: int, known: Knowledge, chance: random.Random) -> str:
    endless = question("Hi", ignore_eos=True, max_tokens=LONG_ANSWER)
    end = time.monotonic() + chance.uniform(0, 0.5)
    with streamed(port, CHAT, endless) as parts:
        for _ in parts:
            if time.monotonic() > end:
                break
    return "left"


def schema(port: int, known: Knowledge, chance: random.Random) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
    asked = question(chance.choice(known.facts)["question"], response_format=form)
    return placed(said(post(port, CHAT, asked)))


def tool(port: int, known: Knowledge, chance: random.Random) -> str:
    text = chance.choice(known.facts)["question"]
    asked = question(text, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    calls = post(port, CHAT, asked)["choices"][0]["message"]["tool_calls"]
    if [call["function"]["name"] for call in calls] != ["look_up"]:
        return f"wrong: {calls}"
    return placed(calls[0]["function"]["arguments"])


def vectors(port: int, known: Knowledge, chance: random.Random) -> str:
    texts = chance.sample(list(known.vectors), chance.randint(1, 3))
    found = post(port, "/v1/embeddings", {"input": texts})["data"]
    for text, one in zip(texts, found, strict=True):
        pairs = zip(one["embedding"], known.vectors[text], strict=True)
        if sum(a * b for a, b in pairs) < CLOSE:
            return f"wrong: another vector for {text!r}"
    return "right"


def tokens(port: int, known: Knowledge, chance: random.Random) -> str:
    text = chance.choice(list(known.tokens))
    found = post(port, "/tokenize", {"content": text})["tokens"]
    back = post(port, "/detokenize", {"tokens": found})["content"]
    return judged((found, back), (known.tokens[text], text))


def long_prompt(port: int, known: Knowledge, chance: random.Random) -> str:
    prompt = chance.choice(known.long)
    asked = {"messages": prompt.asked, "temperature": 0}
    return judged(said(post(port, CHAT, asked)), prompt.answer)


def session(port: int, known: Knowledge, chance: random.Random) -> str:
    messages: list[dict[str, str]] = []
    for turn in chance.choice(known.dialogues):
        messages.append({"role": "user", "content": turn["user"]})
        answer = said(post(port, CHAT, {"messages": messages, "temperature": 0}))
        if answer != turn["assistant"]:
            return judged(answer, turn["assistant"])
        messages.append({"role": "assistant", "content": answer})
    return "right"


def raw(port: int, known: Knowledge, chance: random.Random) -> str:
    """Ask several texts at once; each answer must belong to its own."""
    prompts = chance.sample(known.raw, chance.randint(1, 3))
    asked = {"prompt": [one.asked for one in prompts], "temperature": 0, "logprobs": 3, "n": 2}
    choices = post(port, "/v1/completions", asked)["choices"]
    expected = [one.answer for one in prompts for _ in range(2)]
    for choice in choices:
        figures = choice["logprobs"]
        likeliest = [max(others.values()) for others in figures["top_logprobs"]]
        spelled = "".join(figures["tokens"])  # a part of a character cannot be shown
        same = spelled == choice["text"] or "\ufffd" in spelled
        if not same or likeliest != figures["token_logprobs"]:
            return f"wrong: the log-probabilities of {choice['text']!r} are not its own"
    return judged([choice["text"] for choice in choices], expected)


def completion(port: int, known: Knowledge, chance: random.Random) -> str:
    prompts = chance.sample(known.raw, 2)
    found = ["", ""]
    body = {"prompt": [one.asked for one in prompts], "temperature": 0, "n_probs": 2}
    with streamed(port, "/completion", body) as parts:
        for part in parts:
            found[part["index"]] += part["content"]
    return judged(found, [one.answer for one in prompts])


DEMANDS: dict[Ask, int] = {
    whole: 4, stream: 6, cut_stream: 3, cancelled: 2, schema: 2, tool: 2, vectors: 1, tokens: 1,
    long_prompt: 2, session: 2, raw: 2, completion: 2,
}  # fmt: skip
"""How often each is made, relative to the others."""


def judged(found: object, expected: object) -> str:
    """Return whether an answer is the one that is right."""
    return "right" if found == expected else f"wrong: {found!r} for {expected!r}"


def placed(text: str) -> str:
    """Return whether a text follows the schema PLACE."""
    try:
        found = json.loads(text)
        held = found["city"] in CITIES and found["streets"] <= 9999 and len(found) == 2
    except (ValueError, TypeError, KeyError):
        held = False
    return "right" if held else f"wrong: {text!r} does not follow the schema"


def added(part: Any) -> str:
    """Return the text in a part of a streamed chat answer."""
    return "".join(choice["delta"].get("content") or "" for choice in part["choices"])
