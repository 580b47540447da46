"""Pictures and sounds that are attached to the next question of a chat."""

from __future__ import annotations

from pathlib import Path

import pytest
from encoded_pictures import exif, jpeg, png, segment
from encoded_sounds import wav

from runtime import bounds
from runtime.errors import AppError
from runtime.media.picture import Picture
from runtime.media.sound import Sound
from runtime.terminal.attachments import Attachments


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a cat.png").write_bytes(png(40, 30))
    (tmp_path / "b.jpg").write_bytes(jpeg(64, 48, before=segment(0xE1, b"Exif\0\0" + exif(6))))
    (tmp_path / "talk.wav").write_bytes(wav(32_000))
    (tmp_path / "cut.png").write_bytes(png()[:-20])
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything() -> Attachments:
    return Attachments(sees=True, hears=True)


def refused(attached: Attachments, name: str) -> str:
    with pytest.raises(AppError) as caught:
        attached.attach(name, "/image photo.jpg")
    assert caught.value.hint
    return caught.value.problem


def test_files_are_attached_by_name(folder: Path) -> None:
    attached = everything()

    assert "attached: a cat.png (40 × 30 pixels)" == attached.attach("a cat.png", "")
    assert "attached: b.jpg (48 × 64 pixels)" == attached.attach(f"'{folder}/b.jpg' ", "")
    assert "attached: talk.wav (2.0 seconds)" == attached.attach("talk.wav", "")
    picture, photograph, sound = attached.take()
    assert isinstance(picture, Picture) and isinstance(sound, Sound)
    assert isinstance(photograph, Picture) and 6 == photograph.orientation
    assert [] == attached.take()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "a file is missing"),
        ("nothing.png", "there is no file nothing.png"),
        ("b.jpg/c.png", "there is no file b.jpg/c.png"),
        ("cut.png", "cut.png: the PNG is damaged"),
        ("notes.png", "notes.png: a file was found that begins with b'no pictu'"),
        ("folder.png", "folder.png is no file"),
        ("/dev/zero", "/dev/zero is no file"),
        ("/etc/passwd", "/etc/passwd: a file was found"),
    ],
)
def test_what_cannot_be_attached_says_why(name: str, says: str) -> None:
    assert says in refused(everything(), name)


def test_nothing_is_shown_of_files_that_are_no_pictures(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_text("password: sesame-opens-it")
    assert "sesame" not in refused(everything(), str(secret))


def test_files_in_a_line_are_attached_and_taken_out_of_it(folder: Path) -> None:
    attached = everything()
    line = attached.read(f"what is '{folder}/a cat.png' about?")

    assert "what is about?" == line.text
    assert ["attached: a cat.png (40 × 30 pixels)"] == line.notes
    assert 1 == len(attached.take())


@pytest.mark.usefixtures("folder")
def test_a_name_within_a_sentence_stays_there() -> None:
    attached = everything()
    line = attached.read("what does b.jpg show?")

    assert "what does b.jpg show?" == line.text
    assert ["attached: b.jpg (48 × 64 pixels)"] == line.notes
    assert 1 == len(attached.take())


def test_a_path_alone_waits_for_its_question(folder: Path) -> None:
    attached = everything()
    line = attached.read(f"{folder}/a\\ cat.png ")

    assert "" == line.text
    assert [
        "attached: a cat.png (40 × 30 pixels)",
        "what do you want to know about it?",
    ] == line.notes
    assert "what is that?" == attached.read("what is that?").text
    assert 1 == len(attached.take())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("line", ["what is nothing.png?", "/tmp/there/is/nothing.png", "hello", ""])
def test_lines_that_name_no_file_stay_as_they_are(line: str) -> None:
    attached = everything()

    assert (line, []) == (attached.read(line).text, attached.read(line).notes)
    assert [] == attached.take()


@pytest.mark.usefixtures("folder")
def test_a_damaged_file_in_a_line_is_said_to_be() -> None:
    with pytest.raises(AppError, match=r"cut\.png: the PNG is damaged"):
        everything().read("what is cut.png?")


def test_a_model_that_cannot_see_says_so(folder: Path) -> None:
    blind = Attachments(sees=False, hears=False)

    assert "b.jpg: this model cannot see pictures" == refused(blind, "b.jpg")
    assert "talk.wav: this model cannot hear sounds" == refused(blind, "talk.wav")
    with pytest.raises(AppError, match="this model cannot see pictures") as caught:
        blind.read(f"{folder}/b.jpg")
    assert "--mmproj" in caught.value.hint
    line = blind.read(f"what could {folder}/b.jpg be?")
    assert f"what could {folder}/b.jpg be?" == line.text
    assert [f"{folder}/b.jpg is asked about as text: this model cannot see or hear"] == line.notes
    assert [] == blind.take()


@pytest.mark.usefixtures("folder")
def test_a_model_that_sees_need_not_hear() -> None:
    seeing = Attachments(sees=True, hears=False)

    assert "talk.wav: this model cannot hear sounds" == refused(seeing, "talk.wav")
    assert "attached: b.jpg (48 × 64 pixels)" == seeing.attach("b.jpg", "")
    assert "1 attachment left out" == seeing.drop()
    assert "" == seeing.drop()


@pytest.mark.usefixtures("folder")
def test_no_more_are_attached_than_a_request_may_have() -> None:
    attached = everything()
    for _ in range(bounds.MEDIA):
        attached.attach("a cat.png", "")
    assert "at most 64 are taken" in refused(attached, "a cat.png")


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;owned\x07.png"
    path.write_bytes(png())
    assert "\x1b" not in everything().attach(str(path), "")
