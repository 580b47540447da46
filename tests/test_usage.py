"""A command line that is wrong is told so as everything else is, by both programs."""

from __future__ import annotations

import pytest
from conftest import Program

WRONG = {
    "unknown option": (
        ("bundle", "--compres", "none"),
        "no such option '--compres'",
        "did you mean '--compress'?",
    ),
    "nothing like it": (
        ("bundle", "--zzz"),
        "no such option '--zzz'",
        "modelembed bundle --help shows what there is",
    ),
    "unknown command": (("bundel",), "no such command 'bundel'", "did you mean 'bundle'?"),
    "missing argument": (
        ("verify",),
        "missing argument 'FILE'",
        "modelembed verify --help shows what there is",
    ),
    "missing value": (
        ("bundle", "x.gguf", "-o"),
        "option '-o' requires an argument",
        "--help shows what there is",
    ),
}
OWN_WRONG = {
    "unknown option": (
        ("--temprature", "1"),
        "no such option '--temprature'",
        "did you mean '--te",
    ),
    "wrong type": (
        ("-n", "many", "Hello"),
        "invalid value for '--predict' / '-n' / '--n-predict': 'many' is not a valid integer",
        " chat --help shows what there is",
    ),
    "wrong choice": (("--color=red", "Hello"), "invalid value for '--color' / '-co'", " --help"),
    "one too many": (("info", "x"), "got unexpected extra argument (x)", " info --help shows"),
}


def wrong(program: Program, words: tuple[str, ...], problem: str, hint: str) -> None:
    done = program(*words)

    assert (2, "") == (done.code, done.out)
    said, _, cure = done.err.partition("\n\nhint: ")
    assert said.startswith(f"error: {problem}")
    assert hint in cure
    assert 3 == done.err.count("\n")


@pytest.mark.parametrize("case", WRONG)
def test_the_bundler_explains_a_wrong_command_line(modelembed: Program, case: str) -> None:
    wrong(modelembed, *WRONG[case])


@pytest.mark.parametrize("case", OWN_WRONG)
def test_a_made_program_explains_a_wrong_command_line(chat: Program, case: str) -> None:
    wrong(chat, *OWN_WRONG[case])


def test_no_command_shows_the_commands(modelembed: Program, chat: Program) -> None:
    for program, words in ((modelembed, ()), (chat, ("cache",))):
        done = program(*words)
        assert 2 == done.code
        assert "Commands:" in done.err
        assert "error" not in done.err
