"""Documents in an executable: put in, searched, shown, given back, changed; those of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from paths import DEMO
from program import Program

QUICK = ("--no-check", "--compress", "none")
FILES = {
    "diary/2024-05-03.md": "# Kyoto\n\nIt rained all day in Kyoto, and we bought a red umbrella.\n",
    "diary/2023-05-03.md": "# Home\n\nNothing but a quiet day in the garden with the two dogs.\n",
    "recipes/plum.txt": "Plum cake needs two hundred grams of sugar and a kilogram of plums.\n",
    "notes/京都.txt": "京都では金閣寺の前で赤い傘を買った。雨が降っていた。\n",
    "pictures/dog.png": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("documents") / "mine"
    fill(root, FILES)
    return root


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory, modelembed: Program, folder: Path) -> Path:
    target = tmp_path_factory.mktemp("diary") / "diary"
    flags = ("--docs", str(folder), "--compress", "none")  # it is proved as well
    done = modelembed("bundle", str(DEMO), "-o", str(target), *flags)
    assert done.code == 0, done.err
    assert "first token after" in done.err
    assert "not read: pictures/dog.png: .png is read by nothing here" in done.err
    assert "documents: 4 documents in 4 pieces; 1 file not read" in done.err
    return target


def fill(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def found(program: Path, *words: str) -> list[dict[str, Any]]:
    """Return what a search gives."""
    done = Program(program)("search", "--json", *words)
    assert done.code == 0, done.err
    results: list[dict[str, Any]] = json.loads(done.out)["results"]
    return results


def paths(program: Path, *words: str) -> list[str]:
    return [one["path"] for one in found(program, *words)]


def test_a_question_finds_its_passage(diary: Path) -> None:
    first, *_ = found(diary, "Where", "did", "we", "buy", "an", "umbrella?")

    assert "diary/2024-05-03.md" == first["path"]
    assert ("Kyoto", "2024-05-03", 0) == (first["heading"], first["date"], first["page"])
    text = FILES["diary/2024-05-03.md"].strip()
    assert first["text"] in text
    assert "notes/京都.txt" == paths(diary, "金閣寺はどこ")[0]
    assert ["recipes/plum.txt"] == paths(diary, "sugar")


def test_filters_limit_what_is_found(diary: Path) -> None:
    assert ["diary/2023-05-03.md"] == paths(diary, "day", "before:2024")
    assert ["diary/2024-05-03.md"] == paths(diary, "day", "path:diary", "after:2024-01")
    done = Program(diary)("search", "day", "after:spring")
    assert 2 == done.code
    assert "after:spring has no date" in done.err


def test_what_is_found_is_shown(diary: Path) -> None:
    done = Program(diary)("search", "umbrella")

    assert (0, "") == (done.code, done.err)
    assert done.out.startswith(
        "[1] diary/2024-05-03.md · Kyoto · 2024-05-03\n    It rained all day"
    )
    done = Program(diary)("search", "zebra")
    assert (0, "", "note: nothing was found in 4 documents\n") == (done.code, done.out, done.err)


def test_they_are_shown_checked_and_given_back(
    diary: Path, folder: Path, modelembed: Program, tmp_path: Path
) -> None:
    assert "4 documents in 4 pieces, found by words alone" in Program(diary)("info").out
    assert modelembed("verify", str(diary)).out == "intact\n"
    done = Program(diary)("extract", "docs", "-o", str(tmp_path / "docs.jsonl"))
    assert done.code == 0, done.err
    given = [json.loads(line) for line in (tmp_path / "docs.jsonl").read_text().splitlines()]
    assert sorted(name for name in FILES if not name.endswith("png")) == [
        one["path"] for one in given
    ]
    assert "2024-05-03" == given[1]["date"]


def test_the_same_folder_gives_the_same_bytes(
    diary: Path, folder: Path, modelembed: Program, tmp_path: Path
) -> None:
    again, elsewhere = tmp_path / "again", tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    done = modelembed("bundle", str(DEMO), "-o", str(again), "--docs", str(elsewhere), *QUICK)

    assert done.code == 0, done.err
    assert diary.read_bytes() == again.read_bytes()
    assert "the same bytes\n" == modelembed("rebuild-check", str(again)).out


def test_an_edit_replaces_or_adds_documents_alone(
    diary: Path, modelembed: Program, tmp_path: Path
) -> None:
    more = {"recipes/plum.txt": "Plum cake needs honey now.\n", "new.txt": "A zebra was seen.\n"}
    fill(tmp_path / "more", more)
    added, replaced = tmp_path / "added", tmp_path / "replaced"
    done = modelembed("edit", str(diary), "--add-docs", str(tmp_path / "more"), "-o", str(added))

    assert done.code == 0, done.err
    assert "2 documents in 2 pieces added, 1 of them in place of others" in done.err
    assert ["new.txt"] == paths(added, "zebra")
    assert "honey" in found(added, "plum", "cake")[0]["text"]
    assert [] == paths(added, "sugar")
    assert "diary/2024-05-03.md" == paths(added, "umbrella")[0]
    done = Program(diary)("edit", "--docs", str(tmp_path / "more"), "-o", str(replaced))
    assert done.code == 0, done.err
    assert [] == paths(replaced, "umbrella")
    assert ["new.txt"] == paths(replaced, "zebra")
    gone = tmp_path / "gone"
    assert 0 == modelembed("edit", str(diary), "--remove", "docs", "-o", str(gone)).code
    assert "this file has no documents to search" in Program(gone)("search", "zebra").err
    done = modelembed("edit", str(gone), "--add-docs", str(tmp_path / "more"))
    assert (2, True) == (done.code, "has no documents to add others to" in done.err)


def test_a_folder_is_searched_without_being_put_in(chat: Program, folder: Path) -> None:
    done = chat("search", "umbrella", "--docs", str(folder))

    assert done.code == 0, done.err
    assert done.out.startswith("[1] diary/2024-05-03.md")
    assert "not read: pictures/dog.png" in done.err


def test_an_index_of_a_folder_is_kept_until_it_changes(
    chat: Program, tmp_path: Path, clean_home: Path
) -> None:
    root = tmp_path / "mine"
    fill(root, FILES)
    flags = ("--docs", str(root), "--cache")
    first, second = chat("search", "umbrella", *flags), chat("search", "umbrella", *flags)

    assert first.out == second.out
    assert ("documents in" in first.err, "documents in" in second.err) == (True, False)
    fill(root, {"new.txt": "A zebra with an umbrella was seen.\n"})
    assert "new.txt" in chat("search", "umbrella", *flags).out
    assert 1 == len(list((clean_home / "cache/modelembed/documents").glob("*.index")))
    assert "1 index of documents" in chat("cache", "list").out
    assert "what was indexed of 1 folder" in chat("cache", "clear").out
    assert [] == list((clean_home / "cache/modelembed/documents").glob("*.index"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--docs", "nowhere"), "nowhere cannot be read: No such file or directory"),
        (("--docs", str(DEMO)), "demo.gguf is a file; a folder with documents was expected"),
        (("--docs", "."), "nothing in . can be read"),
        (("--docs", ".", "--chunk", "max=big"), "'max=big' is no size of pieces"),
    ],
)
def test_what_cannot_be_indexed_is_said(
    modelembed: Program, flags: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    done = modelembed("bundle", str(DEMO), "-o", "out", *flags, *QUICK)

    assert (2, True) == (done.code, said in done.err), done.err
    assert [] == list(tmp_path.iterdir())
