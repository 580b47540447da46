"""A conversation about documents: what the model is shown, and what is kept."""

from __future__ import annotations

import pytest
from fakes import FakeEngine, FakeTemplate, content
from findings import FakeReader, grounder, passage

from runtime.dialogue.answerer import LocalAnswerer
from runtime.dialogue.conversation import Conversation
from runtime.errors import ModelError, UsageError
from runtime.inference.stats import FinishReason
from runtime.options.registry import Options

RAIN, SNOW = "When did it rain?", "And when did it snow?"
FOUND = {
    RAIN: [passage("It rained in May.", "may.md"), passage("Rain is wet.", "book.md")],
    SNOW: [passage("It snowed in January.", "january.md")],
}


def talk(engine: FakeEngine, **options: object) -> Conversation:
    answerer = LocalAnswerer(engine, FakeReader(), FakeTemplate())
    return Conversation(
        answerer,
        Options(**options),  # type: ignore[arg-type]
        grounder=grounder(FOUND),
    )


def test_the_question_is_shown_with_its_passages_and_kept_without() -> None:
    engine = FakeEngine(["In May [", "1]", " or not [7]."], ["In January [1]."])
    conversation = talk(engine)

    assert "In May [1] or not." == content(conversation.ask(RAIN))

    assert "[1] may.md\nIt rained in May." in engine.prompts[0]
    assert {"role": "user", "content": RAIN} == conversation.turns[0]
    assert {"role": "assistant", "content": "In May [1] or not."} == conversation.turns[1]
    assert conversation.citations and conversation.grounding
    assert ([1], 1) == (conversation.citations.cited, conversation.citations.removed)
    assert ["may.md", "book.md"] == [one.path for one in conversation.grounding.sources]

    assert "In January [1]." == content(conversation.ask(SNOW))

    begin = f"user: {RAIN}\nassistant: In May [1] or not.\nuser: Passages"
    assert engine.prompts[1].startswith(begin)
    assert "It snowed in January." in engine.prompts[1]
    assert "It rained" not in engine.prompts[1]


def test_what_is_held_back_comes_in_the_end() -> None:
    assert "In May [1" == content(talk(FakeEngine(["In May [1"])).ask(RAIN))


def test_nothing_found_is_said_at_once() -> None:
    engine = FakeEngine()
    conversation = talk(engine)

    answer = content(conversation.ask("Wann hat es gehagelt?"))

    assert "Dazu habe ich in den Dokumenten nichts gefunden." == answer
    assert [] == engine.prompts
    assert answer == conversation.turns[-1]["content"]
    assert FinishReason.STOP == conversation.stats.reason
    assert 0 == conversation.stats.generated_tokens


def test_an_answer_again_is_made_from_passages_again() -> None:
    engine = FakeEngine(["Never."], ["In May [1]."])
    conversation = talk(engine)
    content(conversation.ask(RAIN))

    assert "In May [1]." == content(conversation.regenerate())
    assert engine.prompts[0] == engine.prompts[1]


def test_an_answer_goes_on_with_its_passages() -> None:
    engine = FakeEngine([" [1]."])
    conversation = talk(engine)
    conversation.turns[:] = [{"role": "user", "content": RAIN}]

    assert content(conversation.go_on("In May")).endswith(" [1].")
    assert "In May [1]." == conversation.turns[-1]["content"]
    assert engine.prompts[0].endswith("assistant: In May")
    assert "It rained in May." in engine.prompts[0]


@pytest.mark.parametrize("forget", ["undo", "clear"])
def test_what_is_taken_back_has_no_sources(forget: str) -> None:
    conversation = talk(FakeEngine(["In May [1]."]))
    content(conversation.ask(RAIN))

    getattr(conversation, forget)()

    assert conversation.grounding is None


def test_a_failure_leaves_turns_and_no_sources() -> None:
    conversation = talk(FakeEngine(["In", ModelError("the engine failed")]))

    with pytest.raises(ModelError):
        content(conversation.ask(RAIN))
    assert ([], None) == (conversation.turns, conversation.grounding)
    with pytest.raises(UsageError, match="no date"):
        content(conversation.ask("rain after:spring"))
    assert [] == conversation.turns


def test_old_turns_make_room_for_passages() -> None:
    engine = FakeEngine(["x" * 200], ["In May [1]."], context_size=1200)
    conversation = talk(engine)
    long = {"role": "user", "content": "y" * 500}
    conversation.turns[:] = [long, {"role": "assistant", "content": "z" * 200}]
    engine.answers.popleft()

    assert "In May [1]." == content(conversation.ask(RAIN))
    assert "It rained in May." in engine.prompts[0]
    assert "yyy" not in engine.prompts[0]


@pytest.mark.parametrize("options", [{"grammar": 'root ::= "a"'}, {"passages": 0}])
def test_a_form_or_no_passages_leaves_the_documents_out(options: dict[str, object]) -> None:
    engine = FakeEngine(["a [9]"])

    assert "a [9]" == content(talk(engine, **options).ask(RAIN))
    assert [f"user: {RAIN}\nassistant: "] == engine.prompts
