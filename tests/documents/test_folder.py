"""A folder: all of it is read or listed, always in the same order, and nothing outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.documents.document import Document, Unread
from runtime.documents.folder import walk
from runtime.documents.reading import read
from runtime.errors import DocumentError, UsageError


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_every_file_is_read_or_listed_in_the_order_of_the_bytes(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "b.txt": b"text",
            "a/b/c.MD": b"# text",
            "a.txt": b"text",
            "Z.txt": b"text",
            "\u00e4.txt": b"text",
            "a/empty.txt": b"",
            "a/binary.txt": b"\0\1\2",
            "picture.png": b"\x89PNG",
            "Makefile": b"all:",
            "book.pdf": b"%PDF",
            ".hidden.txt": b"text",
            ".git/a.txt": b"text",
            "a/.b/c.txt": b"text",
        },
    )
    found = list(walk(tmp_path))

    assert [
        "Z.txt", "a.txt", "a/b/c.MD", "b.txt", "ä.txt",
    ] == [one.path for one in found if isinstance(one, Document)]  # fmt: skip
    assert [
        ("Makefile", "its name has no suffix", 1),
        ("a/binary.txt", "it is no text", 1),
        ("a/empty.txt", "it is empty", 1),
        ("book.pdf", ".pdf is read while bundling only", 1),
        ("picture.png", ".png is read by nothing here", 1),
        (".*", "3 hidden files or folders are left out", 3),
    ] == [(one.path, one.reason, one.count) for one in found if isinstance(one, Unread)]
    assert all(one.hint for one in found if isinstance(one, Unread))
    paths = [one.path for one in found][:-1]
    assert sorted(paths, key=str.encode) == paths


def test_the_same_folder_elsewhere_and_later_is_the_same(tmp_path: Path) -> None:
    files = {"b/2024-05-03.md": b"# A\n\ntext", "a.csv": b"x,y\n1,2\n", "c.eml": b"From: a\n\nHi"}
    for name in ("one", "two"):
        fill(tmp_path / name, dict(reversed(files.items())) if name == "two" else files)
    os.utime(tmp_path / "one" / "a.csv", (0, 0))

    assert list(walk(tmp_path / "one")) == list(walk(tmp_path / "two"))


def test_parts_that_were_not_read_follow_their_document(tmp_path: Path) -> None:
    fill(tmp_path, {"a.jsonl": b'{"text": "x"}\nno\n', "b.txt": b"text"})

    assert ["a.jsonl", "a.jsonl#line 2", "b.txt"] == [one.path for one in walk(tmp_path)]


def test_links_pipes_and_what_may_not_be_read_are_listed(tmp_path: Path) -> None:
    fill(tmp_path, {"outside.txt": b"secret", "in/a.txt": b"text", "in/b/c.txt": b"text"})
    folder = tmp_path / "in"
    (folder / "out.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "self").symlink_to(folder)
    (folder / "same.txt").symlink_to("a.txt")
    (folder / "gone.txt").symlink_to("nothing")
    os.mkfifo(folder / "pipe.txt")
    found = {one.path: one for one in walk(folder)}

    assert {"a.txt", "b/c.txt"} == {
        path for path, one in found.items() if isinstance(one, Document)
    }
    reasons = {path: one.reason for path, one in found.items() if isinstance(one, Unread)}
    assert {
        "out.txt": "it is a link out of the folder",
        "up": "it is a link out of the folder",
        "self": "it is a link to the folder itself",
        "same.txt": "it is a link to a.txt, which lies here as well",
        "gone.txt": "it is a link that leads nowhere",
        "pipe.txt": "it is no file",
    } == reasons


def test_a_link_to_the_folder_itself_is_followed(tmp_path: Path) -> None:
    fill(tmp_path, {"in/a.txt": b"text"})
    (tmp_path / "link").symlink_to("in")

    assert ["a.txt"] == [one.path for one in walk(tmp_path / "link")]


def test_names_that_are_no_text_can_be_stored(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"a\xff.txt"), "wb") as file:
        file.write(b"text")

    assert ["a\ufffd.txt"] == [one.path for one in walk(tmp_path)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_listed(tmp_path: Path) -> None:
    fill(tmp_path, {"a.txt": b"text", "b/c.txt": b"text"})
    os.chmod(tmp_path / "a.txt", 0)
    os.chmod(tmp_path / "b", 0)
    try:
        found = [(one.path, one.reason) for one in walk(tmp_path) if isinstance(one, Unread)]
    finally:
        os.chmod(tmp_path / "b", 0o700)

    assert [
        ("a.txt", "it cannot be read: Permission denied"),
        ("b", "it cannot be read: Permission denied"),
    ] == found


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"a.txt": b"text"})
    for name, says in (("nothing", "cannot be read: No such"), ("a.txt", "is a file; a folder")):
        path = tmp_path / name
        with pytest.raises(UsageError, match=f"{name} {says}"):
            list(walk(path))


def test_one_file_is_read_by_its_name(tmp_path: Path) -> None:
    fill(tmp_path, {"a.txt": b"text"})

    assert "x/2024-05-03.md" == read(tmp_path / "a.txt", "x/2024-05-03.md").path
    with pytest.raises(DocumentError, match="No such file"):
        read(tmp_path / "b.txt")
