"""Grammars of required calls: nothing before them, and enums held."""

from __future__ import annotations

from runtime.chat_format.required_call import at_once, with_enums

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
