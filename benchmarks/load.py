"""Many clients at once, each with a question of its own, some of whom leave in the middle.

They ask by all protocols, each time by another.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.protocols import PROTOCOLS

LIMIT = 1000
"""Tokens of an answer, more than any has."""


@dataclass
class Tally:
    """What came of all requests."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """right, left, busy, or what went wrong."""
    examples: list[str] = field(default_factory=list)
    """Some of what went wrong."""

    @property
    def lost(self) -> int:
        """Return how many got no answer, or another's."""
        return sum(n for kind, n in self.outcomes.items() if kind not in ("right", "left", "busy"))


def load(
    port: int, facts: list[dict[str, str]], *, clients: int, seconds: float, seed: int = 1
) -> Tally:
    """Let `clients` ask for `seconds`, each another fact, a third of them leaving early."""
    tally, lock = Tally(), threading.Lock()
    end = time.monotonic() + seconds

    def run(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        mine = facts[number::clients]
        while time.monotonic() < end:
            fact = chance.choice(mine)
            try:
                outcome = ask(port, fact, chance)
            except Exception as exc:  # whatever it is, it is counted
                outcome = f"{type(exc).__name__}: {exc}"
            with lock:
                tally.outcomes[outcome if outcome in ("right", "left", "busy") else "wrong"] += 1
                if outcome not in ("right", "left", "busy"):
                    tally.examples.append(f"{fact['question']} {outcome}")
            if outcome == "busy":
                time.sleep(chance.uniform(0.05, 0.2))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
        if thread.is_alive():
            tally.outcomes["stuck"] += 1
    return tally


def known(port: int, facts: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the facts that the model gets right when nobody else asks: it misses a few."""
    return [fact for fact in facts if judged(answer_to(port, fact["question"]), fact) == "right"]


def answer_to(port: int, question: str) -> str:
    """Return the answer at temperature 0."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
    try:
        messages = [{"role": "user", "content": question}]
        body = json.dumps({"messages": messages, "temperature": 0})
        connection.request("POST", "/v1/chat/completions", body)
        document = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return str(document["choices"][0]["message"]["content"])


def ask(port: int, fact: dict[str, str], chance: random.Random) -> str:
    """Ask once; return what came of it."""
    stream, leave = chance.random() < 0.7, chance.random() < 0.33
    protocol = chance.choice([*PROTOCOLS.values()])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
    try:
        body = {**protocol.body(fact["question"], LIMIT), "stream": stream}
        connection.request("POST", protocol.path, json.dumps(body))
        if leave and chance.random() < 0.5:
            time.sleep(chance.uniform(0, 0.1))
            return "left"
        response = connection.getresponse()
        if response.status == 503:
            assert response.headers["Retry-After"]
            return "busy"
        if response.status != 200:
            return f"status {response.status}: {response.read()!r}"
        if not stream:
            return judged(protocol.text(json.loads(response.read())), fact)
        text = ""
        for line in response:
            event = protocol.event(line)
            if event is None:
                continue
            text += protocol.piece(event)
            if protocol.is_last(event):
                return judged(text, fact)
            if not fact["answer"].startswith(text):
                return f"mixed up: {text}"
            if leave and text:
                return "left"
        return f"cut: {text}"
    finally:
        connection.close()


def judged(text: str, fact: dict[str, str]) -> str:
    """Return whether an answer is the right one."""
    return "right" if text == fact["answer"] else f"wrong: {text}"
