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
from runtime.terminal.attachments import ASK, Attachments


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a cat.png").write_bytes(png(40, 30))
    (tmp_path / "b.jpg").write_bytes(jpeg(64, 48, before=segment(0xE1, b"Exif\0\0" + exif(6))))
    (tmp_path / "talk.wav").write_bytes(wav(32_000))
    (tmp_path / "cut.png").write_bytes(png()[:-20])
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "my notes.txt").write_text("Dear diary")
    (tmp_path / "unnamed").write_bytes(png(40, 30))
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything() -> Attachments:
    return Attachments(sees=True, hears=True)


def attach(attached: Attachments, text: str, kind: str = "picture") -> str:
    """Attach what a command without a question names; return what is said."""
    line = attached.attach(text, kind, "/image photo.jpg")
    assert "" == line.text
    return "; ".join(line.notes)


def refused(attached: Attachments, name: str, kind: str = "picture") -> str:
    with pytest.raises(AppError) as caught:
        attached.attach(name, kind, "/image photo.jpg")
    assert caught.value.hint
    return caught.value.problem


def test_files_are_attached_by_name(folder: Path) -> None:
    attached = everything()

    assert "attached: a cat.png (40 × 30 pixels)" == attach(attached, "a cat.png")
    assert "attached: b.jpg (48 × 64 pixels)" == attach(attached, f"'{folder}/b.jpg' ")
    assert "attached: talk.wav (2.0 seconds)" == attach(attached, "talk.wav", "sound")
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
        ("notes.png", "notes.png: a text was found that begins with 'no pictu'; a picture"),
        ("folder.png", "folder.png is a folder"),
        ("/dev/zero", "/dev/zero is no file"),
        ("/etc/passwd", "/etc/passwd: a text was found"),
        ("talk.wav", "talk.wav is a sound; a picture in PNG, JPEG, GIF or BMP was expected"),
        ('"nothing here.png" what?', "there is no file nothing here.png"),
        ("nothing.png What do you see?", "there is no file nothing.png"),
        ("what do you see?", "there is no file what"),
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
@pytest.mark.parametrize(
    "text", ['"a cat.png"', "'a cat.png'", r"a\ cat.png", "./a\\ cat.png", "a cat.png", "unnamed"]
)
def test_a_command_takes_paths_as_they_are_dragged_in(text: str) -> None:
    attached = everything()
    assert "(40 × 30 pixels)" in attach(attached, text)

    line = attached.attach(f"{text}  What is that?", "picture", "")
    assert ("What is that?", 1) == (line.text, len(line.notes))


def test_signs_in_a_name_are_read_as_they_are_first(folder: Path) -> None:
    (folder / r'"a\ b".png').write_bytes(png(8, 9))
    assert "(8 × 9 pixels)" in attach(everything(), r'"a\ b".png')


@pytest.mark.usefixtures("folder")
def test_a_command_takes_several_files() -> None:
    attached = everything()
    line = attached.attach("b.jpg 'a cat.png' unnamed things?", "picture", "")

    assert ("unnamed things?", 2) == (line.text, len(line.notes))
    assert 2 == len(attached.take())


@pytest.mark.usefixtures("folder")
def test_each_command_takes_its_own_kind() -> None:
    for name, kind, other in (("b.jpg", "sound", "/image"), ("talk.wav", "picture", "/audio")):
        with pytest.raises(AppError, match=f"{name} is a ") as caught:
            everything().attach(name, kind, "")
        assert other in caught.value.hint
    assert "a sound in WAV, MP3 or FLAC was expected" in refused(everything(), "notes.png", "sound")


def test_a_line_that_is_a_path_says_why_it_cannot_be_attached(folder: Path) -> None:
    escaped = f"{folder}/my\\ notes.txt "
    for line in (escaped, f"'{folder}/my notes.txt'", f"{folder}/my notes.txt", "./my\\ notes.txt"):
        with pytest.raises(
            AppError, match=r"my notes\.txt: a text was found that begins"
        ) as caught:
            everything().read(line)
        assert "PROGRAM 'QUESTION' < FILE" in caught.value.hint
    for line in (f"{folder}/nothing.png", f"'{folder}/no thing.png'", f"{folder}/no thing.png"):
        with pytest.raises(AppError, match=r"there is no file /.*thing\.png"):
            everything().read(line)
    assert ["attached: unnamed (40 × 30 pixels)", ASK] == everything().read(
        f"{folder}/unnamed"
    ).notes


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "line",
    ["what is nothing.png?", "/tmp/there/is/nothing", "/tmp", "//tmp/nothing.png", "hello", ""],
)
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
    assert "talk.wav: this model cannot hear sounds" == refused(blind, "talk.wav", "sound")
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

    assert "talk.wav: this model cannot hear sounds" == refused(seeing, "talk.wav", "sound")
    assert "attached: b.jpg (48 × 64 pixels)" == attach(seeing, "b.jpg")
    assert "1 attachment left out" == seeing.drop()
    assert "" == seeing.drop()


@pytest.mark.usefixtures("folder")
def test_no_more_are_attached_than_a_request_may_have() -> None:
    attached = everything()
    for _ in range(bounds.MEDIA):
        attach(attached, "a cat.png")
    assert "at most 64 are taken" in refused(attached, "a cat.png")


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;owned\x07.png"
    path.write_bytes(png())
    assert "\x1b" not in attach(everything(), str(path))
