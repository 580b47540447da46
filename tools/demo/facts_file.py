"""Write the questions and answers that the tests of modelembed ask a bundle."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from exam import (
    in_a_hurry,
    instructed_dialogues,
    long_dialogues,
    name_dialogues,
    naming_dialogues,
    renaming_dialogues,
)
from facts import COUNTRIES
from turns import Dialogue, Turn, capital_turns, country_turns, fact_turns

CAPITAL_FORMS = 4  # of all ways to ask for a capital, the plainest ones


def write_facts(path: Path) -> None:
    """Write a JSON with one question or dialogue on each line."""
    capitals = capital_turns()[: CAPITAL_FORMS * len(COUNTRIES)]
    turns = [
        *capitals,
        *in_a_hurry(capitals[: len(COUNTRIES)]),
        *country_turns()[: len(COUNTRIES)],
        *fact_turns(),
    ]
    dialogues = [
        *name_dialogues()[:40],
        *renaming_dialogues()[:15],
        *naming_dialogues()[:20],
        *instructed_dialogues()[::2],
        *long_dialogues()[:2],
    ]
    text = (
        '{\n"questions": [\n'
        + _lines(_question(turn) for turn in turns)
        + '\n],\n"dialogues": [\n'
        + _lines(_dialogue(dialogue) for dialogue in dialogues)
        + "\n]\n}\n"
    )
    path.write_text(text, encoding="utf-8")


def _question(turn: Turn) -> dict[str, Any]:
    return {"question": turn.user, "answer": turn.assistant}


def _dialogue(dialogue: Dialogue) -> dict[str, Any]:
    turns = [{"user": turn.user, "assistant": turn.assistant} for turn in dialogue.turns]
    return ({} if dialogue.system is None else {"system": dialogue.system}) | {"turns": turns}


def _lines(items: Iterable[dict[str, Any]]) -> str:
    return ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
