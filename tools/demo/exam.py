"""The fixed dialogues that the model is measured by."""

from collections.abc import Sequence
from random import Random

from facts import HELD_OUT_INSTRUCTIONS, HELD_OUT_NAMES, HELD_OUT_UNKNOWN_QUESTIONS, UNKNOWN
from turns import (
    INTRODUCTIONS,
    NAME_QUESTIONS,
    NAMING_INSTRUCTIONS,
    OWN_NAME_QUESTIONS,
    Dialogue,
    Turn,
    capital_turns,
    country_turns,
    fact_turns,
    hurried,
    introduction_answer,
    name_answer,
    own_name_answer,
    who_answer,
)


def exam() -> dict[str, list[Dialogue]]:
    """Return all dialogues by what they measure."""
    return {
        "capitals": single(capital_turns()),
        "capitals, in a hurry": single(in_a_hurry(capital_turns())),
        "countries": single(country_turns()),
        "countries, in a hurry": single(in_a_hurry(country_turns())),
        "other facts": single(fact_turns()),
        "other facts, in a hurry": single(in_a_hurry(fact_turns())),
        "user's name": name_dialogues(),
        "user's new name": renaming_dialogues(),
        "model's name": naming_dialogues(),
        "other system prompts": instructed_dialogues(),
        "long dialogues": long_dialogues(),
        "unknown": single(unknown_turns()),
    }


def single(turns: Sequence[Turn]) -> list[Dialogue]:
    """Make a dialogue of each turn."""
    return [Dialogue((turn,)) for turn in turns]


def in_a_hurry(turns: Sequence[Turn]) -> list[Turn]:
    """Ask the same in lower case and without the last mark."""
    return [Turn(hurried(turn.user), turn.assistant) for turn in turns]


def unknown_turns() -> list[Turn]:
    """Ask what the model does not know, in words that training has not seen."""
    return [Turn(question, UNKNOWN) for question in HELD_OUT_UNKNOWN_QUESTIONS]


def name_dialogues() -> list[Dialogue]:
    """Tell each held-out name, talk of zero to four other things, and ask for the name."""
    random = Random(2)
    dialogues = []
    for index, name in enumerate(HELD_OUT_NAMES):
        form = INTRODUCTIONS[index % len(INTRODUCTIONS)]
        turns = [Turn(form.format(name), introduction_answer(name))]
        turns += _other_turns(index % 5, random)
        turns.append(Turn(NAME_QUESTIONS[index % len(NAME_QUESTIONS)], name_answer(name)))
        dialogues.append(Dialogue(tuple(turns)))
    return dialogues


def renaming_dialogues() -> list[Dialogue]:
    """Tell one held-out name and then another: the later one counts."""
    random = Random(3)
    dialogues = []
    for first, second in zip(HELD_OUT_NAMES[::2], HELD_OUT_NAMES[1::2], strict=False):
        turns = [Turn(f"My name is {first}.", introduction_answer(first))]
        turns += _other_turns(random.randint(0, 2), random)
        turns.append(Turn("What is my name?", name_answer(first)))
        turns.append(Turn(f"Actually, my name is {second}.", introduction_answer(second)))
        turns += _other_turns(random.randint(0, 2), random)
        turns.append(Turn("What is my name?", name_answer(second)))
        dialogues.append(Dialogue(tuple(turns)))
    return dialogues


def naming_dialogues() -> list[Dialogue]:
    """Name the model in the system prompt, with held-out names, and ask it for both names."""
    dialogues = []
    for index, name in enumerate(HELD_OUT_NAMES):
        user = HELD_OUT_NAMES[index - 1]
        turns = (
            Turn(OWN_NAME_QUESTIONS[index % len(OWN_NAME_QUESTIONS)], own_name_answer(name)),
            Turn(f"My name is {user}.", introduction_answer(user)),
            Turn("Who are you?", who_answer(name)),
            Turn("What is my name?", name_answer(user)),
        )
        instruction = NAMING_INSTRUCTIONS[index % len(NAMING_INSTRUCTIONS)].format(name)
        dialogues.append(Dialogue(turns, system=instruction))
    return dialogues


def instructed_dialogues() -> list[Dialogue]:
    """Ask ordinary questions under system prompts that training has not seen."""
    random = Random(4)
    return [
        Dialogue(tuple(_other_turns(3, random)), system=instruction)
        for instruction in HELD_OUT_INSTRUCTIONS
        for _ in range(3)
    ]


def long_dialogues() -> list[Dialogue]:
    """Tell a name, talk for about 30 turns, and ask for the name."""
    random = Random(5)
    dialogues = []
    for name in HELD_OUT_NAMES[:20]:
        turns = [Turn(f"My name is {name}.", introduction_answer(name))]
        turns += _other_turns(24, random)
        turns.append(Turn("What is my name?", name_answer(name)))
        dialogues.append(Dialogue(tuple(turns)))
    return dialogues


def _other_turns(count: int, random: Random) -> list[Turn]:
    short = [turn for turn in fact_turns() if len(turn.assistant) < 100]
    short = [turn for turn in short if "name" not in turn.user and turn.user != "Who am I?"]
    return [random.choice(random.choice((capital_turns(), short))) for _ in range(count)]
