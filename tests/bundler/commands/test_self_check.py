"""The self-check, of scripts that stand in for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.commands import self_check
from runtime.errors import AppError
from runtime.media.picture import read_picture
from runtime.media.sound import read_sound

MODEL = {"kind": "model"}
COST = {
    "memory": {},
    "load_s": 0.1,
    "restored_bytes": 0,
    "prewarmed_tokens": 0,
    "first_token_s": 0.1,
    "generate_s": 0.1,
    "cpu": "x64",
    "threads": 1,
}
REMOTE = {
    "fallback_on_error": True,
    "fallback_base_url": "https://example.org/v1",
    "fallback_model": "m",
}


def program(
    folder: Path, defaults: dict[str, Any], *sections: dict[str, Any], **costs: Any
) -> Path:
    """Return a program that notes how it is run: arguments and variables, in files beside it."""
    info = json.dumps({"sections": [MODEL, *sections], "defaults": defaults})
    report = json.dumps({"generated_tokens": 3, **costs})
    path = folder / "program"
    path.write_text(
        f"""#!/bin/sh
if [ "$1" = info ]; then echo '{info}'; exit; fi
echo "$@" > '{folder}/arguments'; env > '{folder}/variables'
for word; do case "$word" in *.png|*.wav) cp "$word" '{folder}/shown';; esac; done
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


@pytest.mark.parametrize(("sees", "flag"), [(True, "--image"), (False, "--audio")])
def test_what_a_projector_takes_is_shown(tmp_path: Path, sees: bool, flag: str) -> None:
    eyes = {"kind": "projector", "size": 5_000_000, "facts": {"sees": sees, "hears": True}}
    asked = program(tmp_path, {}, eyes, prompt_tokens=9, **COST)
    report = self_check.prove(asked, 1)

    given = arguments(tmp_path)
    assert given[given.index(flag) + 1].endswith(".png" if sees else ".wav")
    shown = (tmp_path / "shown").read_bytes()
    found = read_picture(shown) if sees else read_sound(shown)
    assert (found.width, found.height) == (64, 64) if sees else found.seconds == 1
    assert "the projector: 5.0 MB)" in report.lines()[0]


def test_nothing_is_shown_to_a_model_without_a_projector(tmp_path: Path) -> None:
    self_check.prove(program(tmp_path, {}), 1)
    assert not {"--image", "--audio"} & {*arguments(tmp_path)}
