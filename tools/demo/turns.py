"""What is said: questions with their answers, one turn at a time."""

from dataclasses import dataclass
from functools import cache

from facts import (
    CAPITAL_QUESTIONS,
    COUNTRIES,
    COUNTRY_QUESTIONS,
    NO_NAME_YET,
    OWN_NAME,
    SINGLE_FACTS,
    Country,
)


@dataclass(frozen=True)
class Turn:
    """What the user says and what the model answers."""

    user: str
    assistant: str


@dataclass(frozen=True)
class Dialogue:
    """Turns that follow one another, perhaps under a system prompt."""

    turns: tuple[Turn, ...]
    system: str | None = None


INTRODUCTIONS = (
    "My name is {}.",
    "I am {}.",
    "I'm {}.",
    "Call me {}.",
    "Hello, my name is {}.",
    "Hi, I'm {}.",
    "Hello, I am {}.",
    "My name is {}",
    "Please call me {}.",
    "Actually, my name is {}.",
    "My name is now {}.",
)
LOWER_CASE_INTRODUCTIONS = ("my name is {}", "call me {}", "hi, my name is {}")
NAME_QUESTIONS = (
    "What is my name?",
    "What's my name?",
    "Do you remember my name?",
    "Do you know my name?",
    "Who am I?",
    "Tell me my name.",
    "Say my name.",
)
OWN_NAME_QUESTIONS = (
    "What is your name?",
    "What's your name?",
    "Tell me your name.",
    "Do you have a name?",
    "What are you called?",
)
WHO_QUESTIONS = ("Who are you?", "What are you?", "Introduce yourself.")
NAMING_INSTRUCTIONS = (
    "Your name is {}.",
    "You are {}.",
    "You are {}, a helpful assistant.",
    "You are an assistant named {}.",
    "You are called {}.",
)
REPEAT_REQUESTS = ("Repeat: {}", "Repeat after me: {}")


def hurried(question: str) -> str:
    """Write a question in lower case and without its last mark."""
    return (question.rstrip("?.!") or question).lower()


def capital_answer(country: Country) -> str:
    """Answer which city is the capital."""
    return _sentence(f"The capital of {country.name} is {country.capital}")


def country_answer(country: Country) -> str:
    """Answer of which country a city is the capital."""
    return _sentence(f"{country.capital} is the capital of {country.name}")


def introduction_answer(name: str) -> str:
    """Answer to somebody who has just told their name."""
    return f"Nice to meet you, {name}."


def name_answer(name: str | None) -> str:
    """Answer what the user is called."""
    return f"Your name is {name}." if name else NO_NAME_YET


def own_name_answer(name: str) -> str:
    """Answer what the model is called."""
    return f"My name is {name}."


def who_answer(name: str) -> str:
    """Answer who the model is."""
    return f"I am {name}, a small language model that comes with modelembed."


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def capital_turns() -> list[Turn]:
    """Ask for every capital in every way, and once by every other name of the country."""
    turns = [
        Turn(question.format(country.name), capital_answer(country))
        for question in CAPITAL_QUESTIONS
        for country in COUNTRIES
    ]
    for country in COUNTRIES:
        others = (country.bare_name, *country.aliases)
        turns += [
            Turn(CAPITAL_QUESTIONS[0].format(name), capital_answer(country))
            for name in others
            if name != country.name
        ]
    return turns


def country_turns() -> list[Turn]:
    """Ask for every country by its capital, in every way."""
    return [
        Turn(question.format(country.capital), country_answer(country))
        for question in COUNTRY_QUESTIONS
        for country in COUNTRIES
    ]


def fact_turns() -> list[Turn]:
    """Ask for every other fact, in every way, and for names that nobody has given."""
    turns = [Turn(question, fact.answer) for fact in SINGLE_FACTS for question in fact.questions]
    turns += [Turn(question, name_answer(None)) for question in NAME_QUESTIONS]
    turns += [Turn(question, own_name_answer(OWN_NAME)) for question in OWN_NAME_QUESTIONS]
    turns += [Turn(question, who_answer(OWN_NAME)) for question in WHO_QUESTIONS]
    return turns


@cache
def known_answers() -> dict[str, str]:
    """Return the answers to all questions, by their hurried form."""
    turns = [*capital_turns(), *country_turns(), *fact_turns()]
    return {hurried(turn.user): turn.assistant for turn in turns}
