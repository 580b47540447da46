"""Options for GPUs: what is refused before anything is made."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bundler.commands import main as commands
from runtime.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cuda-arch", "86"], "--cuda-arch is for --gpu cuda"),
        (["--gpu", "cuda", "--cuda-arch", "60"], "does not compile for 60"),
        (["--gpu", "cuda", "--cuda-arch", ""], "none; the architectures"),
    ],
)
@pytest.mark.parametrize("command", [["stub"], ["bundle", "any.gguf"]])
def test_what_cannot_be_made_is_refused(
    command: list[str], arguments: list[str], told: str
) -> None:
    result = CliRunner().invoke(commands.main, [*command, *arguments], standalone_mode=False)

    assert isinstance(result.exception, UsageError)
    assert told in result.exception.problem


def test_a_runtime_that_is_given_is_what_it_is() -> None:
    arguments = ["bundle", "any.gguf", "--stub", "any", "--gpu", "cuda"]
    result = CliRunner().invoke(commands.main, arguments, standalone_mode=False)

    assert isinstance(result.exception, UsageError)
    assert "--stub and --gpu both say what the program is for" == result.exception.problem
