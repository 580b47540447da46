"""An empty path is an unset variable of a shell, not the folder that somebody stands in."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runtime.commands.bundles.given_path import PATH, require_folder
from runtime.errors import UsageError


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


def test_a_folder_is_a_folder(tmp_path: Path) -> None:
    require_folder(tmp_path)
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=r"there is no folder .*none"):
        require_folder(tmp_path / "none")
    with pytest.raises(UsageError, match="file is a file"):
        require_folder(tmp_path / "file")
