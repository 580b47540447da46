"""Which projector is bundled: the one named, the one beside the model, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
from projectors import write_projector, write_text_model

from bundler.commands.config_file import Config
from bundler.commands.projector_option import projector_of
from bundler.model import projectors, split_files
from bundler.model.split_files import Opened
from runtime.errors import GGUFError, UsageError


@pytest.fixture
def model(tmp_path: Path) -> Opened:
    return split_files.open_file(write_text_model(tmp_path / "tiny-Q4_K_M.gguf"))


@pytest.fixture
def beside(tmp_path: Path, model: Opened) -> Path:
    return write_projector(tmp_path / "mmproj-tiny-f16.gguf")


@pytest.fixture
def said() -> list[str]:
    return []


def answered(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """Let the user sit at a terminal and answer so; return what is asked."""
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return answer

    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    return asked


def test_a_model_alone_has_none(model: Opened, said: list[str]) -> None:
    assert projector_of(None, Config(), model, said.append) is None
    assert [] == said


def test_without_a_terminal_it_is_named_and_left_out(
    model: Opened, beside: Path, said: list[str]
) -> None:
    assert projector_of(None, Config(), model, said.append) is None
    assert 1 == len(said)
    assert f"--mmproj {beside} adds it" in said[0]


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_it_is_asked_for(
    model: Opened, beside: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    asked = answered(monkeypatch, answer)
    found = projector_of("auto", Config(), model, said.append)

    assert [beside] == ([found.opened.path] if found else [beside])
    assert answer is (found is not None)
    assert ["Add it?"] == asked
    assert "mmproj-tiny-f16.gguf lies beside the model" in said[0]
    assert "takes pictures" in said[0]


def test_none_asks_nothing(
    model: Opened, beside: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answered(monkeypatch, True)
    assert projector_of("none", Config(), model, said.append) is None
    assert [] == asked == said


def test_the_one_named_is_taken(model: Opened, tmp_path: Path, said: list[str]) -> None:
    path = write_projector(tmp_path / "eyes.gguf")
    found = projector_of(str(path), Config(), model, said.append)
    assert found is not None
    assert path == found.opened.path
    assert {
        "name": "Eyes of Tiny llava",
        "license": "MIT",
        "type": "mlp",
        "sees": True,
    }.items() <= (found.facts.items())


def test_a_model_in_its_place_is_refused(model: Opened, said: list[str]) -> None:
    with pytest.raises(GGUFError, match="is no multimodal projector: its architecture is 'llama'"):
        projector_of(str(model.path), Config(), model, said.append)


def test_another_models_is_refused(model: Opened, tmp_path: Path, said: list[str]) -> None:
    path = write_projector(tmp_path / "wide.gguf", width=128)
    with pytest.raises(GGUFError, match="vectors of 128 numbers, and the model's tokens have 64"):
        projector_of(str(path), Config(), model, said.append)


def test_a_cut_one_is_refused(model: Opened, beside: Path, said: list[str]) -> None:
    beside.write_bytes(beside.read_bytes()[:-1000])
    with pytest.raises(GGUFError, match="is truncated"):
        projector_of(str(beside), Config(), model, said.append)
    assert projector_of("auto", Config(), model, said.append) is None  # it is no candidate


def test_images_that_are_supported_need_no_question(
    model: Opened, beside: Path, said: list[str]
) -> None:
    found = projector_of(None, Config(supports_images=True), model, said.append)
    assert found is not None
    assert beside == found.opened.path
    assert [] == said


def test_images_that_are_supported_need_a_projector(model: Opened, said: list[str]) -> None:
    with pytest.raises(UsageError, match="no projector for pictures lies beside"):
        projector_of(None, Config(supports_images=True), model, said.append)
    with pytest.raises(UsageError, match="contradict each other"):
        projector_of("none", Config(supports_images=True), model, said.append)


def test_images_that_are_not_supported_take_none(
    model: Opened, beside: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answered(monkeypatch, True)
    config = Config(supports_images=False)
    assert projector_of(None, config, model, said.append) is None
    assert [] == asked == said
    assert projector_of(str(beside), config, model, said.append) is not None  # the flag wins


def test_a_config_file_must_not_contradict_itself(
    model: Opened, beside: Path, said: list[str]
) -> None:
    with pytest.raises(UsageError, match="contradict each other"):
        projector_of(None, Config(supports_images=False, mmproj=str(beside)), model, said.append)


def test_hearing_alone_is_no_support_of_images(
    model: Opened, tmp_path: Path, said: list[str]
) -> None:
    def hears(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[-1]["clip.has_vision_encoder"].value = False
        writer.add_bool("clip.has_audio_encoder", True)

    path = write_projector(tmp_path / "mmproj-ears.gguf", change=hears)
    with pytest.raises(UsageError, match="takes sound alone"):
        projector_of(str(path), Config(supports_images=True), model, said.append)
    with pytest.raises(UsageError, match="no projector for pictures lies beside"):
        projector_of(None, Config(supports_images=True), model, said.append)


def test_the_likeliest_comes_first(model: Opened, tmp_path: Path) -> None:
    """By what the headers say, then by the file's name; what does not fit is left out."""

    def named(name: str) -> Any:
        def change(writer: gguf.GGUFWriter) -> None:
            writer.kv_data[-1]["general.name"].value = name

        return change

    write_projector(tmp_path / "mmproj-a.gguf")
    write_projector(tmp_path / "tiny-mmproj.gguf")
    write_projector(tmp_path / "z-mmproj.gguf", change=named("Tiny llava"))
    write_projector(tmp_path / "mmproj-wide.gguf", width=128)
    (tmp_path / "mmproj-page.gguf").write_text("<html>")

    found = [one.opened.path.name for one in projectors.beside(model)]

    assert ["z-mmproj.gguf", "tiny-mmproj.gguf", "mmproj-a.gguf"] == found
