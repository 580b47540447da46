"""Grammars of required calls: nothing before them, and enums held."""

from __future__ import annotations

import pytest

from runtime.chat_format.required_call import at_once, holds, with_enums
from runtime.inference.answer_form import AnswerForm

GRAMMAR = """\
root ::= "<a>" space ("<think>" until-1 "</think>")? until-2? tool-call
space ::= | " "
tool-call ::= "<call>" tool-f-arg-x
tool-f-arg-x ::= "<x>" ac-7
ac-7 ::= [<] ac-7-01 | [^<] ac-7
ac-7-01 ::= [<] ac-7-01 | [/] ac-7-02 | [^/<] ac-7
ac-7-02 ::= [\\n] | [<] ac-7-01 | [^\\n<] ac-7"""
TOOL = {
    "function": {
        "name": "f",
        "parameters": {"properties": {"x": {"type": "string", "enum": ["1", '"']}, "y": {}}},
    }
}


def test_nothing_may_precede_a_call() -> None:
    assert 'root ::= "<a>" space tool-call' == at_once(GRAMMAR, reasons=False).splitlines()[0]
    kept = 'root ::= "<a>" space ("<think>" until-1 "</think>")? tool-call'
    assert kept == at_once(GRAMMAR, reasons=True).splitlines()[0]


def test_enums_are_held_up_to_what_ends_the_text() -> None:
    held = with_enums(GRAMMAR, [TOOL]).splitlines()
    assert 'tool-f-arg-x ::= "<x>" ("1" | "\\"") "</\\n"' == held[3]
    assert held[:3] + held[4:] == GRAMMAR.splitlines()[:3] + GRAMMAR.splitlines()[4:]


def test_what_is_not_known_stays() -> None:
    other = GRAMMAR.replace("ac-7-02 ::= [\\n] |", "ac-7-02 ::=")
    assert other == with_enums(other, [TOOL])
    assert GRAMMAR == with_enums(GRAMMAR, [{"function": {"name": "g"}}])


def held(rules: str, *, required: bool = True) -> bool:
    plain = {"type": "string", "description": "Any."}
    parameters: dict[str, object] = {"properties": {"x": plain, "y": {"type": "integer"}}}
    if required:
        parameters["required"] = ["x"]
    return holds(AnswerForm(rules), [{"function": {"name": "f", "parameters": parameters}}])


def test_a_form_of_json_holds() -> None:
    assert held('root ::= "<call>" tool-f-schema "</call>"\ntool-f-schema ::= "{" [^}]* "}"')


def test_a_form_with_a_rule_for_each_argument_holds_what_is_required() -> None:
    arguments = 'tool-f-arg-x ::= "<x>" until-1\nuntil-1 ::= | [^<] until-1\ntool-f-arg-y ::= "1"'
    assert held(f'root ::= tool-f\ntool-f ::= "(" (tool-f-arg-x) tool-f-arg-y* ")"\n{arguments}')
    optional = "(tool-f-arg-x tool-f-arg-y)?", "(tool-f-arg-x | tool-f-arg-y)*", "tool-f-arg-x{0,1}"
    for some in optional:
        assert not held(f"root ::= tool-f\ntool-f ::= {some}\n{arguments}")
        assert held(f"root ::= tool-f\ntool-f ::= {some}\n{arguments}", required=False)


@pytest.mark.parametrize("free", ["[^<]", ".", "[a-z]+", "[0-9]*", "other"])
def test_a_form_with_free_text_does_not_hold(free: str) -> None:
    assert not held(f'root ::= {free} tool-f-schema\ntool-f-schema ::= "{{}}"\nother ::= [^a]*')


def test_what_could_go_on_for_ever_is_ended() -> None:
    grammar = 'root ::= "f:" [0-9]+ [A-Za-z0-9_-]+ tool-f-schema\ntool-f-schema ::= [0-9]+'
    assert 'root ::= "f:" [0-9] "json" tool-f-schema\ntool-f-schema ::= [0-9]+' == at_once(
        grammar, reasons=False
    )
