"""Pictures in the terminal: given on the command line, attached by commands, dragged in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from encoded_pictures import exif, jpeg, png, segment
from encoded_sounds import wav
from paths import DEMO, EYE
from photographs import circle_above_square
from program import Program
from projectors import KINDS, Pair, write_pair
from terminals import Terminal

CAT = png(40, 30)


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return flags_of(write_pair(tmp_path_factory.mktemp("seeing"), "llava"))


def flags_of(pair: Pair) -> tuple[str, ...]:
    return ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1", "-n", "4",
            "--temp", "0")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my cat.png").write_bytes(CAT)
    (tmp_path / "dog.png").write_bytes(png(30, 60, 16))
    (tmp_path / "talk.wav").write_bytes(wav())
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:-9])
    return tmp_path


@pytest.fixture
def terminal(chat: Program, flags: tuple[str, ...]) -> Iterator[Terminal]:
    opened = Terminal(chat.path, *flags)
    opened.shows("\n>")
    yield opened
    opened.child.close(force=True)


def answer(chat: Program, flags: tuple[str, ...], *more: str) -> str:
    done = chat(*flags, "-p", "What is that?", *more)
    assert (0, "") == (done.code, done.err)
    return done.out


def test_what_is_seen_changes_the_answer(
    chat: Program, flags: tuple[str, ...], folder: Path
) -> None:
    cat, dog = str(folder / "my cat.png"), str(folder / "dog.png")
    answers = [
        answer(chat, flags),
        answer(chat, flags, "--image", cat),
        answer(chat, flags, "--image", dog),
        answer(chat, flags, "--image", cat, "--image", dog),
    ]

    assert 4 == len(set(answers))
    assert answers[1] == answer(chat, flags, "--image", cat)


def test_a_photograph_is_turned_upright(
    chat: Program, flags: tuple[str, ...], tmp_path: Path
) -> None:
    plain, turned = tmp_path / "plain.jpg", tmp_path / "turned.jpg"
    plain.write_bytes(jpeg(64, 24))
    for orientation in (1, 6):
        noted = segment(0xE1, b"Exif\0\0" + exif(orientation))
        turned.write_bytes(jpeg(64, 24, before=noted))
        same = answer(chat, flags, "--image", str(plain)) == answer(
            chat, flags, "--image", str(turned)
        )
        assert same == (orientation == 1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing.png", "there is no file"),
        ("cut.jpg", "the JPEG is damaged"),
        (".", "is a folder"),
        ("talk.wav", "talk.wav is a sound; a picture in PNG, JPEG, GIF or BMP was expected"),
        ("/etc/hostname", "a picture in PNG, JPEG, GIF or BMP was expected"),
    ],
)
def test_what_is_no_picture_is_refused_before_anything_is_loaded(
    chat: Program, flags: tuple[str, ...], folder: Path, name: str, says: str
) -> None:
    done = chat(*flags, "-p", "What is that?", "--image", str(folder / name))

    assert 1 == done.code
    assert says in done.err and "hint: " in done.err


def test_a_model_that_cannot_see_says_so(chat: Program, folder: Path) -> None:
    done = chat("-p", "What is that?", "--image", str(folder / "dog.png"))

    assert 1 == done.code
    assert "dog.png: this model cannot see pictures" in done.err
    assert "--mmproj" in done.err


def test_the_chat_attaches_files_from_inside_its_sandbox(terminal: Terminal, folder: Path) -> None:
    terminal.type(f"/image {folder}/dog.png")
    terminal.shows("attached: dog.png (30 × 60 pixels)")
    terminal.type("What is that?")
    terminal.shows("cut after 4 tokens")
    terminal.type(f"{folder}/my\\ cat.png")
    terminal.shows("attached: my cat.png (40 × 30 pixels)")
    terminal.shows("what do you want to know about it?")
    terminal.type("And that?")
    terminal.shows("cut after 4 tokens", times=2)
    terminal.type(f"What is '{folder}/my cat.png' about?")
    terminal.shows("attached: my cat.png", times=2)
    terminal.shows("cut after 4 tokens", times=3)
    terminal.type(f"/image {folder}/nothing.png")
    terminal.shows("there is no file")
    terminal.type("/image /etc/hostname")
    terminal.shows("a text was found that begins with")
    terminal.type("/help")
    terminal.shows("/image FILE")
    terminal.type("/exit")
    assert terminal.ended() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_with_pictures_is_saved_and_gone_on_with(
    chat: Program, folder: Path, kind: str
) -> None:
    flags = flags_of(write_pair(folder, kind))
    saved = folder / "talk.conversation"
    lines = f"/image {folder}/dog.png\nWhat is that?\n/save {saved}\nAnd now?\n"
    first = chat(*flags, "-i", stdin=lines)
    assert "saved to" in first.out, first.err
    os.unlink(folder / "dog.png")  # what was seen is kept

    done = chat(*flags, "-i", stdin=f"/load {saved}\nAnd now?\n/undo\n/regen\n")

    assert 0 == done.code, done.err
    assert "opened" in done.out and "error" not in done.out
    assert "anew" not in done.out + done.err  # its state fits
    answers = said(first.out)
    assert answers[1:] + answers[:1] == said(done.out)  # as in one go, and made again


def said(out: str) -> list[str]:
    """Return the answers of a chat, each of which is cut after so many tokens."""
    return [part.rpartition("\n")[2] for part in out.split("\ncut after")[:-1]]


def test_a_conversation_with_pictures_is_not_opened_without_eyes(
    chat: Program, flags: tuple[str, ...], folder: Path
) -> None:
    saved = folder / "talk.conversation"
    lines = f"/image {folder}/dog.png\nWhat is that?\n/save {saved}\n"
    first = chat(*flags, "-i", stdin=lines)
    assert "saved to" in first.out, first.err
    lines = (
        f"What is the capital of France?\n/load {saved}\n/save {folder}/mine\n"
        "What is the capital of Spain?\n"
    )
    done = chat("-i", "--temp", "0", stdin=lines)

    assert "this model takes no pictures" in done.out + done.err
    assert "saved to" in done.out  # the conversation is as it was
    assert "The capital of Spain is Madrid." in done.out


def test_commands_of_the_chat_without_eyes(chat: Program, folder: Path) -> None:
    lines = f"/image {folder}/dog.png\nWhat is the capital of France?\n{folder}/dog.png\n"
    done = chat("-i", stdin=lines)

    assert 2 == done.out.count("this model cannot see pictures")
    assert "The capital of France is Paris." in done.out


def test_a_photograph_is_seen_as_the_camera_was_held(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "lying.png"
    path.write_bytes(circle_above_square())
    done = chat("-m", str(DEMO), "--mmproj", str(EYE), "-i", "--temp", "0",
                stdin=f"{path} What do you see?\n/image '{path}' What do you see?\n")  # fmt: skip

    assert 2 == done.out.count("attached: lying.png (160 × 160 pixels)")
    assert 2 == done.out.count("A red circle above a blue square.")
