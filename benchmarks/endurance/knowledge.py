"""Knowledge: what the right answers are, found out while nobody else asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.endurance.client import post, question, said
from benchmarks.measure import BenchmarkError

FACTS = Path(__file__).parents[2] / "models" / "demo.facts.json"
QUESTIONS, LONG, TEXTS = 150, 24, 12
TURNS = 20
"""Questions and answers before the last question of a long prompt, at most."""


@dataclass(frozen=True)
class Prompt:
    """A request's messages, or its text as the model reads it, and the one right answer."""

    asked: Any
    answer: str


@dataclass(frozen=True)
class Knowledge:
    """Requests whose answers are known."""

    facts: list[dict[str, str]]
    """Single questions."""
    dialogues: list[list[dict[str, str]]]
    """Conversations, each of whose answers is known."""
    long: list[Prompt]
    """Long conversations, many of which begin with the same turns."""
    raw: list[Prompt]
    """Questions as texts in the form of the chat template."""
    tokens: dict[str, list[int]]
    vectors: dict[str, list[float]]


def learn(port: int) -> Knowledge:
    """Ask everything once; keep what is answered right. Raise BenchmarkError if that is little."""
    document = json.loads(FACTS.read_text(encoding="utf-8"))
    facts = load.known(port, document["questions"][:QUESTIONS])
    dialogues = [one["turns"] for one in document["dialogues"] if _holds(port, one["turns"])]
    if min(len(facts) / QUESTIONS, 2 * len(dialogues) / len(document["dialogues"])) < 0.9:
        raise BenchmarkError(
            f"the model knows only {len(facts)} of {QUESTIONS} answers and {len(dialogues)} of "
            f"{len(document['dialogues'])} dialogues"
        )
    texts = [fact["answer"] for fact in facts[:TEXTS]]
    vectors = post(port, "/v1/embeddings", {"input": texts})["data"]
    return Knowledge(
        facts,
        dialogues,
        [one for one in _long(facts) if _right(port, one)],
        [Prompt(_rendered(port, fact["question"]), fact["answer"]) for fact in facts[:LONG]],
        {text: post(port, "/tokenize", {"content": text})["tokens"] for text in texts},
        {text: one["embedding"] for text, one in zip(texts, vectors, strict=True)},
    )


def history(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the messages of questions and answers."""
    return [
        {"role": role, "content": turn[key]}
        for turn in turns
        for role, key in (("user", "question"), ("assistant", "answer"))
    ]


def _long(facts: list[dict[str, str]]) -> list[Prompt]:
    """Return long prompts: two beginnings, each of them cut at several places."""
    found = []
    for number in range(LONG):
        begin, turns = number % 2 * TURNS, TURNS - number // 2 % TURNS
        last = facts[2 * TURNS + number]
        before = history(facts[begin : begin + turns])
        asked = [*before, {"role": "user", "content": last["question"]}]
        found.append(Prompt(asked, last["answer"]))
    return found


def _right(port: int, prompt: Prompt) -> bool:
    body = {"messages": prompt.asked, "temperature": 0}
    return prompt.answer == said(post(port, "/v1/chat/completions", body))


def _holds(port: int, turns: list[dict[str, str]]) -> bool:
    """Tell whether the model gives each answer of a dialogue."""
    messages: list[dict[str, str]] = []
    for turn in turns:
        messages.append({"role": "user", "content": turn["user"]})
        if not _right(port, Prompt(messages, turn["assistant"])):
            return False
        messages.append({"role": "assistant", "content": turn["assistant"]})
    return True


def _rendered(port: int, text: str) -> str:
    return str(post(port, "/apply-template", question(text))["prompt"])
