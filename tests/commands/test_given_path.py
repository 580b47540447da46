"""An empty path is an unset variable of a shell, not the folder that somebody stands in."""

from __future__ import annotations

from pathlib import Path

import click
from click.testing import CliRunner

from runtime.commands.bundles.given_path import PATH


@click.command()
@click.option("--docs", type=PATH)
def told(docs: Path | None) -> None:
    print(repr(docs))


def test_an_empty_path_is_refused() -> None:
    refused = CliRunner().invoke(told, ["--docs", ""])

    assert 2 == refused.exit_code
    assert "it is empty" in refused.output
    for given in (".", "a folder"):
        assert f"{Path(given)!r}\n" == CliRunner().invoke(told, ["--docs", given]).output
    assert "None\n" == CliRunner().invoke(told, []).output
