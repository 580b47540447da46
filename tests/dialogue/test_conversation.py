"""A conversation: what the model is shown, and what is dropped when it becomes too much."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes import FakeEngine, FakeTemplate, FakeTokenizer, content

from runtime.chat_format.chat_template import Message
from runtime.dialogue.answerer import LocalAnswerer
from runtime.dialogue.conversation import Conversation
from runtime.errors import ModelError
from runtime.options.registry import Options

NO_ROOM = ModelError("the engine failed to compute (code 1)")


class Talk:
    """A conversation with a fake engine, and what it told the user."""

    def __init__(
        self, engine: FakeEngine, *, system: str = "", n_predict: int = -1, **tokenizer: object
    ) -> None:
        self.engine = engine
        self.notices: list[str] = []
        self.template = FakeTemplate(str(tokenizer.get("bos", "")))
        self.conversation = Conversation(
            LocalAnswerer(
                engine,
                FakeTokenizer(**tokenizer),  # type: ignore[arg-type]
                self.template,
            ),
            Options(system=system, n_predict=n_predict),
            self.notices.append,
        )

    def ask(self, text: str) -> str:
        return content(self.conversation.ask(text))

    @property
    def turns(self) -> list[str]:
        return [f"{turn['role']}: {turn['content']}" for turn in self.conversation.turns]


def test_first_question() -> None:
    talk = Talk(FakeEngine(["fo", "ur"]), system="Be brief.")

    assert "four" == talk.ask("2+2?")
    assert ["system: Be brief.\nuser: 2+2?\nassistant: "] == talk.engine.prompts
    assert ["user: 2+2?", "assistant: four"] == talk.turns
    assert [] == talk.notices


def test_later_questions_see_the_earlier_ones() -> None:
    talk = Talk(FakeEngine(["Hi Ada."], ["Ada."]))
    talk.ask("I am Ada.")
    talk.ask("Who am I?")

    assert (
        "user: I am Ada.\nassistant: Hi Ada.\nuser: Who am I?\nassistant: "
        == talk.engine.prompts[-1]
    )


def test_undo_takes_back_question_and_answer() -> None:
    talk = Talk(FakeEngine(["one"], ["two"]))
    talk.ask("1?")
    talk.ask("2?")

    assert "2?" == talk.conversation.undo()
    assert ["user: 1?", "assistant: one"] == talk.turns
    assert "1?" == talk.conversation.undo()
    assert "" == talk.conversation.undo()
    assert [] == talk.turns


def test_regenerate_asks_the_same_again() -> None:
    talk = Talk(FakeEngine(["one"], ["eins"]))
    talk.ask("1?")

    assert "eins" == content(talk.conversation.regenerate())
    assert talk.engine.prompts[0] == talk.engine.prompts[1]
    assert ["user: 1?", "assistant: eins"] == talk.turns


def test_regenerate_needs_a_question() -> None:
    with pytest.raises(ModelError, match="nothing to answer again"):
        content(Talk(FakeEngine()).conversation.regenerate())


def test_clear_keeps_the_system_prompt() -> None:
    talk = Talk(FakeEngine(["one"], ["two"]), system="Be brief.")
    talk.ask("1?")
    talk.conversation.clear()
    talk.ask("2?")

    assert "system: Be brief.\nuser: 2?\nassistant: " == talk.engine.prompts[-1]


def test_oldest_turns_are_dropped_when_full_and_the_system_prompt_kept() -> None:
    talk = Talk(FakeEngine(*["answer"] * 4, context_size=120), system="Be brief.")
    for number in range(4):
        talk.ask(f"question {number}")

    # 120 tokens less a quarter leave 90; a question, its answer and their roles take 36.
    assert [
        "system: Be brief.\nuser: question 2\nassistant: answer\nuser: question 3\nassistant: "
    ] == talk.engine.prompts[3:]
    assert ["context full: the oldest 2 turns were dropped"] * 2 == talk.notices


def test_a_long_conversation_is_made_to_fit_in_a_few_steps() -> None:
    # Anybody's saved conversation may be opened, and each step writes all of the prompt.
    talk = Talk(FakeEngine(["ok"], context_size=100))
    pairs = ({"role": role, "content": "1234"} for role in ("user", "assistant") * 2000)
    talk.conversation.turns.extend(pairs)
    written = []
    apply = talk.template.apply
    talk.template.apply = lambda inputs: written.append(1) or apply(inputs)  # type: ignore[func-returns-value, method-assign]

    assert "ok" == talk.ask("5678")
    assert ["user: 1234", "assistant: 1234", "user: 5678", "assistant: ok"] == talk.turns
    assert ["context full: the oldest 3998 turns were dropped"] == talk.notices
    assert len(written) < 20


@pytest.mark.parametrize(("limit", "dropped"), [(-1, 4), (100, 4), (20, 2), (8, 0)])
def test_no_more_turns_are_dropped_than_the_answer_needs(limit: int, dropped: int) -> None:
    talk = Talk(FakeEngine(*["answer"] * 4, context_size=200), system="Be brief.", n_predict=limit)
    for number in range(3):
        talk.ask(f"question {number}")
    assert [] == talk.notices
    before = talk.turns
    talk.ask("question 3".ljust(47, "?"))

    # The prompt takes 188 tokens, 35 of them for each question with its answer.
    assert before[dropped:] == talk.turns[:-2]
    told = [f"context full: the oldest {dropped} turns were dropped"] if dropped else []
    assert told == talk.notices
    assert talk.engine.prompts[-1].startswith("system: Be brief.\n")


def test_answer_that_outgrows_the_context_goes_on() -> None:
    long = ["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight"]
    talk = Talk(FakeEngine(["short"], long, context_size=80))
    talk.ask("a?")

    assert "one two three four five six seven eight" == talk.ask("b?")
    assert [
        "user: a?\nassistant: short\nuser: b?\nassistant: ",
        "user: b?\nassistant: one two three four five six seven ",
    ] == talk.engine.prompts[1:]
    assert ["context full: the oldest 2 turns were dropped, going on"] == talk.notices
    assert "stop" == talk.conversation.stats.reason
    assert (
        len("one two three four five six seven eight") == talk.conversation.stats.generated_tokens
    )


def test_answer_that_cannot_go_on_is_cut() -> None:
    talk = Talk(FakeEngine(["x" * 10] * 9, context_size=60))

    assert "x" * 40 == talk.ask("a?")
    assert ["the answer was cut: the context of 60 tokens is full (give more with -c)"] == (
        talk.notices
    )
    assert ["user: a?", f"assistant: {'x' * 40}"] == talk.turns


def test_question_that_is_too_long_is_refused_and_not_kept() -> None:
    talk = Talk(FakeEngine(["one"], ["three"], context_size=80))
    talk.ask("1?")
    with pytest.raises(ModelError, match="the prompt has 121 tokens"):
        talk.ask("2" * 103)

    # Nothing is lost by having asked it.
    assert ["user: 1?", "assistant: one"] == talk.turns
    assert "three" == talk.ask("3?")
    assert "user: 1?\nassistant: one\nuser: 3?\nassistant: " == talk.engine.prompts[-1]


def cancelling(*pieces: str) -> FakeEngine:
    """Return an engine whose first answer is cancelled behind `pieces`."""
    engine = FakeEngine([], ["later"])
    engine.answers[0].extend([*pieces, engine.cancel, "never"])
    return engine


def test_cancelled_answer_is_kept_as_far_as_it_got() -> None:
    talk = Talk(cancelling("fo", "u"))

    assert "fou" == talk.ask("2+2?")
    assert "cancelled" == talk.conversation.stats.reason
    assert ["user: 2+2?", "assistant: fou"] == talk.turns
    assert "later" == talk.ask("and?")


def test_answer_cancelled_before_its_first_word_leaves_the_roles_alternating() -> None:
    talk = Talk(cancelling())

    assert "" == talk.ask("2+2?")
    # Templates of Gemma and Mistral refuse two questions in a row, for good.
    assert "later" == talk.ask("and?")


@pytest.mark.parametrize("limit", [0, 2])
def test_limit_on_the_answer(limit: int) -> None:
    talk = Talk(FakeEngine("four", "later"), n_predict=limit)

    assert "four"[:limit] == talk.ask("2+2?")
    assert "length" == talk.conversation.stats.reason
    assert "later"[:limit] == talk.ask("and?")


def test_limit_counts_over_continuations() -> None:
    talk = Talk(FakeEngine("short", "x" * 100, context_size=80), n_predict=50)
    talk.ask("a?")

    assert "x" * 50 == talk.ask("b?")
    assert ("length", 50) == (
        talk.conversation.stats.reason,
        talk.conversation.stats.generated_tokens,
    )


@pytest.mark.parametrize("pieces", [[NO_ROOM], ["fo", NO_ROOM]], ids=["at once", "in the middle"])
def test_engine_that_fails_leaves_the_conversation_as_it_was(
    pieces: list[str | Exception],
) -> None:
    talk = Talk(FakeEngine(["one"], pieces, ["three"]))
    talk.ask("1?")
    with pytest.raises(ModelError):
        talk.ask("2?")

    assert ["user: 1?", "assistant: one"] == talk.turns
    assert "three" == talk.ask("3?")


def test_regenerating_that_fails_keeps_the_question() -> None:
    talk = Talk(FakeEngine(["one"], [NO_ROOM], ["three"]))
    talk.ask("1?")
    with pytest.raises(ModelError):
        content(talk.conversation.regenerate())

    assert "user: 1?" == talk.turns[0]


def test_answer_that_nobody_reads_to_its_end_is_kept() -> None:
    talk = Talk(FakeEngine(["fo", "ur"], ["later"]))
    answer = talk.conversation.ask("2+2?")
    next(answer)
    answer.close()  # type: ignore[attr-defined]

    assert ["user: 2+2?", "assistant: fo"] == talk.turns


@pytest.mark.parametrize("adds_bos", [True, False])
def test_beginning_of_text_appears_once(adds_bos: bool) -> None:
    # Here the template writes it, and where `adds_bos` is set the tokenizer would, too.
    talk = Talk(FakeEngine(["four"]), bos="<s>", adds_bos=adds_bos)
    talk.ask("2+2?")

    assert ["<s>user: 2+2?\nassistant: "] == talk.engine.prompts


def test_nobody_need_listen_to_notices() -> None:
    engine = FakeEngine("x" * 100, context_size=60)
    answerer = LocalAnswerer(engine, FakeTokenizer(), FakeTemplate())
    conversation = Conversation(answerer, Options())

    assert "x" * 41 == content(conversation.ask("?"))


class Notes:
    """A journal of a conversation."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.written = ""

    def note(self, system: str, turns: Sequence[Message]) -> None:
        self.turns, self.written = [str(turn["content"]) for turn in turns], ""

    def wrote(self, text: str) -> None:
        self.written += text


def test_a_journal_has_the_turns_and_what_is_written_of_an_answer() -> None:
    talk, notes = Talk(FakeEngine(["one"], ["tw", "o"])), Notes()
    talk.conversation.journal = notes
    talk.ask("1?")
    assert (["1?", "one"], "") == (notes.turns, notes.written)

    answer = talk.conversation.ask("2?")
    next(answer)
    assert (["1?", "one", "2?"], "tw") == (notes.turns, notes.written)
    assert "o" == content(answer)
    assert (["1?", "one", "2?", "two"], "") == (notes.turns, notes.written)


def test_an_answer_that_another_process_began_goes_on() -> None:
    talk = Talk(FakeEngine("xyz", "later"), n_predict=5)
    talk.conversation.turns.append({"role": "user", "content": "2?"})

    assert "xyz"[:3] == content(talk.conversation.go_on("tw"))
    assert "tw" == talk.conversation.taken_over.content
    assert ["user: 2?\nassistant: tw"] == talk.engine.prompts
    assert ["user: 2?", "assistant: twxyz"] == talk.turns
    assert "later" == talk.ask("3?")
