"""The README says what is true: live help, existing files, working commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, Program

README = ROOT / "README.md"


def blocks() -> dict[str, str]:
    """Return the help texts in the README by the command they show."""
    found = re.findall(r"```console\n\$ ([^\n]+ --help)\n(.*?)```", README.read_text(), re.S)
    return {command: text for command, text in found}


@pytest.mark.parametrize(
    "command", ["modelembed --help", "modelembed bundle --help", "./chat --help"]
)
def test_the_readme_shows_the_live_help(
    command: str, modelembed: Program, chat: Program, tmp_path: Path
) -> None:
    link = tmp_path / "chat"
    link.symlink_to(chat.path)
    name, *arguments = command.split()
    program = modelembed if name == "modelembed" else Program(link)
    done = program(*arguments, COLUMNS="100")

    assert done.code == 0
    assert blocks()[command].strip() == done.out.strip()


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in README.read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_changelog_has_this_version() -> None:
    from runtime import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_size_of_a_step_is_stated_as_it_is() -> None:
    from runtime import engine
    from runtime.options import FIELDS

    assert f"{engine.CHUNK} tokens a step" in FIELDS["parallel"].metadata["help"]
    assert f"reads up to {engine.CHUNK} tokens of the prompts that wait" in README.read_text()
