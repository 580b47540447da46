"""README and docs say what is true: live help, existing files, working commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engines import ENDLESS, GREEDY, demo, engine, in_child, question
from paths import ROOT
from program import Program

from runtime.options.registry import Options

if TYPE_CHECKING:
    from runtime.inference.generation import Generation

README = ROOT / "README.md"


def blocks() -> dict[str, str]:
    """Return the help texts in docs/options.md by the command they show."""
    text = (ROOT / "docs" / "options.md").read_text()
    found = re.findall(r"```console\n\$ ([^\n]+ --help)\n(.*?)```", text, re.S)
    return {command: text for command, text in found}


@pytest.mark.parametrize(
    "command", ["modelembed --help", "modelembed bundle --help", "./chat --help"]
)
def test_the_options_are_the_live_help(
    command: str, modelembed: Program, chat: Program, tmp_path: Path
) -> None:
    link = tmp_path / "chat"
    link.symlink_to(chat.path)
    name, *arguments = command.split()
    program = modelembed if name == "modelembed" else Program(link)
    done = program(*arguments, COLUMNS="100")

    assert done.code == 0
    assert blocks()[command].strip() == done.out.strip()


@pytest.mark.parametrize(
    "name",
    ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))],
)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
        assert (ROOT / name).parent.joinpath(target).exists(), target


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in README.read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_changelog_has_this_version() -> None:
    from runtime import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


@in_child
def test_the_size_of_a_step_is_stated_as_it_is() -> None:
    """What the README says of a prompt beside a running answer, and of two."""
    from runtime.inference.decoding import PROMPT_CHUNK
    from runtime.options.registry import SPECS

    assert f"{PROMPT_CHUNK} tokens per step" in SPECS["parallel"].help
    assert f"up to {PROMPT_CHUNK} tokens for each one that waits" in README.read_text()
    assert f"prompts are read {Options().batch_size} at a time" in README.read_text()

    prompts = [demo().tokenize(f"{word} " * 400, beginning=True)[:400] for word in ("one", "two")]
    for together in (1, 2):
        with engine(parallel=3, context=2048) as three:
            steps: list[list[int]] = []
            compute = three.decoding._compute

            def counted(
                parts: list[tuple[Generation, int]],
                compute: Callable[[list[tuple[Generation, int]]], None] = compute,
                steps: list[list[int]] = steps,
            ) -> None:
                steps.append([count for _, count in parts])
                compute(parts)

            three.decoding._compute = counted  # type: ignore[method-assign]
            running = iter(three.submit(question("Tell me a story."), ENDLESS))
            next(running)
            with three._wake:  # so that both are seen at once
                others = [three.submit(prompt, GREEDY) for prompt in prompts[:together]]
            for other in others:
                list(other)

        reading = [step for step in steps[1:] if max(step) > 1]
        assert reading[0] == [1, PROMPT_CHUNK * together]  # the first in the row takes all there is
        assert all(sum(step) - 1 <= PROMPT_CHUNK * together for step in reading)
        assert sum(map(sum, steps[1:])) >= 400 * together


def test_the_help_of_a_server_tells_its_own_defaults(chat: Program) -> None:
    """A chat computes one answer at a time, a server as many as the README says."""
    served = " ".join(chat("serve", "--help").out.split())
    chatting = " ".join(chat("chat", "--help").out.split())

    assert "while others are being generated (default: 4)" in served
    assert "while others are being generated (default: 1)" in chatting
    assert "computed together (4, if you do not say)" in README.read_text()


def test_the_architecture_names_modules_that_there_are() -> None:
    """Every dotted name is a module or a package, and every package of the runtime is named."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\b(?:runtime|bundler)(?:\.\w+)+", text))
    for name in names:
        path = ROOT.joinpath(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), name

    packages = {f"runtime.{path.parent.name}" for path in ROOT.glob("runtime/*/__init__.py")}
    assert packages <= {name for name in names if name.count(".") == 1}
