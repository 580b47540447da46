"""The self-check, of scripts that stand in for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.commands import self_check
from runtime.errors import AppError

MODEL = {"kind": "model"}
REMOTE = {
    "fallback_on_error": True,
    "fallback_base_url": "https://example.org/v1",
    "fallback_model": "m",
}


def program(folder: Path, defaults: dict[str, Any], **costs: Any) -> Path:
    """Return a program that notes how it is run: arguments and variables, in files beside it."""
    info = json.dumps({"sections": [MODEL], "defaults": defaults})
    report = json.dumps({"generated_tokens": 3, **costs})
    path = folder / "program"
    path.write_text(
        f"""#!/bin/sh
if [ "$1" = info ]; then echo '{info}'; exit; fi
echo "$@" > '{folder}/arguments'; env > '{folder}/variables'
while [ "$1" != --report ]; do shift; done
echo '{report}' > "$2"
"""
    )
    path.chmod(0o755)
    return path


def arguments(folder: Path) -> list[str]:
    return (folder / "arguments").read_text().split()


@pytest.mark.parametrize("defaults", [{}, {"cache": True}, {"fallback_on_error": True}])
def test_nothing_baked_in_is_overridden_that_does_no_harm(
    tmp_path: Path, defaults: dict[str, Any]
) -> None:
    self_check.prove(program(tmp_path, defaults), 1)
    given = arguments(tmp_path)
    assert not [word for word in given if "fallback" in word or "cache" in word]


def test_the_users_folders_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("XDG_CACHE_HOME", "XDG_DATA_HOME")
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / "own"))
    self_check.prove(program(tmp_path, {"cache": True}), 1)
    lines = (tmp_path / "variables").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if line.startswith(names))
    assert set(names) == found.keys()
    for folder in found.values():
        assert str(tmp_path / "own") != folder
        assert not Path(folder).exists()  # any more


def test_no_server_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not through a proxy either."""
    monkeypatch.setenv("https_proxy", "http://example.org:3128")
    self_check.prove(program(tmp_path, REMOTE), 1)
    given = arguments(tmp_path)
    assert self_check.NOWHERE == given[given.index("--fallback-base-url") + 1]
    assert "no_proxy=*" in (tmp_path / "variables").read_text().splitlines()


def test_the_answer_of_another_server_proves_nothing(tmp_path: Path) -> None:
    asked = program(tmp_path, REMOTE, fallback=self_check.NOWHERE)
    with pytest.raises(AppError, match="the model in it did not answer"):
        self_check.prove(asked, 1)


def test_a_program_that_generates_nothing(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="generated no token"):
        self_check.prove(program(tmp_path, {}, generated_tokens=0), 1)
