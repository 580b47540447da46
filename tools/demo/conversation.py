"""Make up conversations without end, to train on."""

from collections.abc import Iterator, Sequence
from random import Random

from facts import (
    ABOUT_FACTS,
    CAPITAL_QUESTIONS,
    COUNTRIES,
    COUNTRY_QUESTIONS,
    MODELEMBED_FACTS,
    OWN_NAME,
    SUM_FACTS,
    TEXT_FACTS,
    UNICODE_FACTS,
    UNKNOWN,
    UNKNOWN_FACTS,
    WORLD_FACTS,
    Fact,
)
from turns import (
    INTRODUCTIONS,
    LOWER_CASE_INTRODUCTIONS,
    NAME_QUESTIONS,
    NAMING_INSTRUCTIONS,
    OWN_NAME_QUESTIONS,
    REPEAT_REQUESTS,
    WHO_QUESTIONS,
    Turn,
    capital_answer,
    country_answer,
    hurried,
    introduction_answer,
    known_answers,
    name_answer,
    own_name_answer,
    who_answer,
)
from words import invented_person, neutral_instructions, text_to_repeat, unknown_question


class Conversation:
    """A dialogue in the making, which knows both names; it yields one turn after another."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._user_name: str | None = None
        self._own_name = OWN_NAME
        self.system = self._instructions()

    def _instructions(self) -> str | None:
        way = self._random.random()
        if way < 0.5:
            return None
        if way < 0.7:
            return neutral_instructions(self._random)
        self._own_name = invented_person(self._random)
        naming = self._random.choice(NAMING_INSTRUCTIONS).format(self._own_name)
        extra = self._random.random()
        if extra < 0.2:
            return f"{naming} {neutral_instructions(self._random)}"
        if extra < 0.3:
            return f"{neutral_instructions(self._random)} {naming}"
        return naming

    def turns(self) -> Iterator[Turn]:
        """Yield turns without end."""
        while True:
            yield self._turn()

    def _turn(self) -> Turn:
        knows_user, is_named = self._user_name is not None, self._own_name != OWN_NAME
        shares = {
            self._capital: 28,
            self._country: 10,
            self._fact: 18,
            self._sum: 4,
            self._text: 1.5,
            self._unicode: 5,
            self._introduction: 6 if knows_user else 16,
            self._name: 14 if knows_user else 4,
            self._own: 12 if is_named else 4,
            self._unknown: 12,
            self._repetition: 2,
        }
        turn = self._random.choices(list(shares), list(shares.values()))[0]()
        if turn.user.startswith("Repeat"):
            return turn
        return Turn(_varied(turn.user, self._random), turn.assistant)

    def _capital(self) -> Turn:
        country = self._random.choice(COUNTRIES)
        question = self._random.choice(CAPITAL_QUESTIONS)
        names = (country.name, country.name, country.bare_name, *country.aliases)
        return Turn(question.format(self._random.choice(names)), capital_answer(country))

    def _country(self) -> Turn:
        country = self._random.choice(COUNTRIES)
        question = self._random.choice(COUNTRY_QUESTIONS).format(country.capital)
        return Turn(question, country_answer(country))

    def _fact(self) -> Turn:
        return self._any_of((*MODELEMBED_FACTS, *ABOUT_FACTS, *WORLD_FACTS, *UNKNOWN_FACTS))

    def _sum(self) -> Turn:
        return self._any_of(SUM_FACTS)

    def _text(self) -> Turn:
        return self._any_of(TEXT_FACTS)

    def _unicode(self) -> Turn:
        return self._any_of(UNICODE_FACTS)

    def _any_of(self, facts: Sequence[Fact]) -> Turn:
        weights = [len(fact.questions) for fact in facts]
        fact = self._random.choices(facts, weights)[0]
        return Turn(self._random.choice(fact.questions), fact.answer)

    def _introduction(self) -> Turn:
        name = invented_person(self._random)
        form = self._random.choice(INTRODUCTIONS)
        if self._random.random() < 0.1:
            name = name.lower()
            form = self._random.choice(LOWER_CASE_INTRODUCTIONS)
        self._user_name = name
        return Turn(form.format(name), introduction_answer(name))

    def _name(self) -> Turn:
        return Turn(self._random.choice(NAME_QUESTIONS), name_answer(self._user_name))

    def _own(self) -> Turn:
        if self._random.random() < 0.7:
            return Turn(self._random.choice(OWN_NAME_QUESTIONS), own_name_answer(self._own_name))
        return Turn(self._random.choice(WHO_QUESTIONS), who_answer(self._own_name))

    def _repetition(self) -> Turn:
        text = text_to_repeat(self._random)
        return Turn(self._random.choice(REPEAT_REQUESTS).format(text), text)

    def _unknown(self) -> Turn:
        question = unknown_question(self._random)
        return Turn(question, known_answers().get(hurried(question), UNKNOWN))


def _varied(question: str, random: Random) -> str:
    """Write a question as hurried people do."""
    way = random.random()
    if way < 0.6:
        return question
    if way < 0.72:
        return question.rstrip("?.!") or question
    # A name keeps its capital letters: it is to be repeated as it was written.
    has_name = any(question.startswith(form.split("{")[0]) for form in INTRODUCTIONS)
    if way < 0.86 and not has_name:
        return hurried(question)
    if way < 0.92 and not has_name:
        return question.lower()
    if way < 0.94:
        return f"Please {question[0].lower()}{question[1:]}" if question else question
    if way < 0.96:
        return random.choice(("Hello! ", "Hi, ", "Hey, ")) + question
    if way < 0.98:
        return question + random.choice((" Please.", "\n", " ", "??", "!"))
    return question
