"""Options with one dash and several letters are known whole or not at all."""

from __future__ import annotations

import click
import pytest

from runtime.commands import click_base


@click.command(cls=click_base.Command)
@click.option("--predict", "-n", type=int)
@click.option("--temp", "-temp", type=float)
@click.option("--yes", "-y", is_flag=True)
@click.argument("words", nargs=-1)
def command(**_: object) -> None:
    """Do nothing."""


def parsed(*arguments: str) -> dict[str, object]:
    return command.make_context("command", list(arguments)).params


@pytest.mark.parametrize(
    "word", ["-no-xyz", "-no", "-nonsense", "-ny", "-yn", "-tmp", "-tempo", "-no=5"]
)
def test_an_unknown_word_after_one_dash_is_refused(word: str) -> None:
    with pytest.raises(click.NoSuchOption) as caught:
        parsed(word, "5")
    assert word == caught.value.option_name


def test_a_similar_one_is_named() -> None:
    with pytest.raises(click.NoSuchOption) as caught:
        parsed("-tmp", "5")
    assert "-temp" in (caught.value.possibilities or ())


def test_numbers_and_switches_may_stand_close() -> None:
    assert 5 == parsed("-n5")["predict"]
    assert -1 == parsed("-n-1")["predict"]
    assert parsed("-yv")["yes"]
    assert 0.5 == parsed("-temp", ".5")["temp"]
    assert ("-no-xyz",) == parsed("--", "-no-xyz")["words"]
