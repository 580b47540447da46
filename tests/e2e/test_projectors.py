"""A projector in an executable: found, checked, put in, shown, given back, replaced, left out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from drawings import gallery
from paths import DEMO, TESTS
from program import Done, Program
from projectors import Pair, write_pair, write_projector
from terminals import Terminal

from runtime.container import bundle_file

KEY = TESTS / "golden" / "minisign" / "throwaway.key"
CODINGS = {"none": "stored", "max": "planes"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Return a model with its projector beside it."""
    return write_pair(tmp_path_factory.mktemp("pair"), "llava")


@pytest.fixture(scope="module", params=CODINGS)
def seeing(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    modelembed: Program,
    pair: Pair,
) -> Path:
    """Return a program with a projector, stored or compressed as its model is."""
    target = tmp_path_factory.mktemp("seeing") / request.param
    bundled(modelembed, pair, target, "--compress", request.param, "--sign", str(KEY))
    return target


def bundled(modelembed: Program, pair: Pair, target: Path, *flags: str) -> Done:
    done = modelembed(
        "bundle", str(pair.model), "--mmproj", str(pair.projector), "-o", str(target),
        "--no-check", *flags,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done


def parts(path: Path) -> dict[str, dict[str, Any]]:
    return {
        part["name"]: part for part in json.loads(Program(path)("info", "--json").out)["sections"]
    }


def findings(path: Path, *flags: str) -> str:
    return Program(path)("doctor", "--no-verify", *flags).out


def memory_needed(report: str) -> float:
    """Return the megabytes that a report of doctor says are needed."""
    found = re.search(r"^ok    memory       ([\d.]+) MB needed", report, re.M)
    assert found, report
    return float(found[1])


def test_it_is_coded_as_the_model_is(seeing: Path) -> None:
    found = parts(seeing)

    assert ["model", "projector"] == list(found)
    assert CODINGS[seeing.name] == found["model"]["codec"] == found["projector"]["codec"]


def test_it_is_shown(seeing: Path) -> None:
    facts = parts(seeing)["projector"]["facts"]
    assert {"type": "mlp", "sees": True, "hears": False, "width": 64}.items() <= facts.items()
    assert ("mmproj-llava.gguf", "MIT") == (facts["file"], facts["license"])
    program = Program(seeing)
    assert "Eyes of Tiny llava, takes pictures (type mlp)" in program("info").out
    assert "=== The projector: Eyes of Tiny llava ===\nMIT" in program("licenses").out


def test_it_is_verified_and_comes_back(seeing: Path, pair: Pair, tmp_path: Path) -> None:
    program = Program(seeing)
    assert "intact\n" == program("verify", "--key", str(KEY.with_suffix(".pub"))).out
    done = program("extract", "projector", "-o", str(tmp_path / "back.gguf"))

    assert done.code == 0, done.err
    assert pair.projector.read_bytes() == (tmp_path / "back.gguf").read_bytes()


def test_damage_in_it_is_found(seeing: Path, tmp_path: Path) -> None:
    bundle = bundle_file.load(seeing)
    section = bundle.projector
    bundle.close()
    assert section
    data = bytearray(seeing.read_bytes())
    data[section.offset + section.length // 2] ^= 1
    broken = tmp_path / "broken"
    broken.write_bytes(data)
    broken.chmod(0o755)
    done = Program(broken)("verify")

    assert done.code == 1
    assert "part 'projector'" in done.err


def test_it_is_made_again_byte_for_byte(modelembed: Program, seeing: Path, pair: Pair) -> None:
    for model in ((), (str(pair.model),)):
        assert "the same bytes\n" == modelembed("rebuild-check", str(seeing), *model).out


def test_its_memory_is_planned(seeing: Path) -> None:
    report = findings(seeing)
    without = findings(seeing, "--no-mmproj")

    assert "ok    projector    takes pictures (mlp)" in report
    assert "projector" not in without
    size = parts(seeing)["projector"]["size"] / 1e6
    assert 0 < size - 0.2 < memory_needed(report) - memory_needed(without) < 3 * size


def test_a_model_is_answered_by_without_it(seeing: Path) -> None:
    program = Program(seeing, ("--temp", "0", "-n", "8"))
    assert program.ask("the cat") == program.ask("the cat", "--no-mmproj")


def test_a_model_named_at_start_gets_one_that_is_named(
    stub: Path, pair: Pair, seeing: Path, tmp_path: Path
) -> None:
    model = ("-m", str(pair.model))
    takes = "ok    projector    takes pictures (mlp)"
    assert takes in findings(stub, *model, "--mmproj", str(pair.projector))
    assert takes in findings(stub, *model, "--mmproj", str(seeing))  # out of another program
    assert takes in findings(stub, "-m", str(seeing))
    assert "projector" not in findings(stub, *model)
    assert "projector" not in findings(seeing, *model)  # it is the other model's


@pytest.mark.parametrize("command", ["doctor", "chat"])
def test_one_that_does_not_fit_is_refused_at_start(
    seeing: Path, tmp_path: Path, command: str
) -> None:
    wide = write_projector(tmp_path / "wide.gguf", width=128)
    flags = ("-p", "Hi") if command == "chat" else ("--no-verify",)
    done = Program(seeing)(command, "--mmproj", str(wide), *flags)

    assert done.code == 1
    assert "makes vectors of 128 numbers, and the model's tokens have 64" in done.out + done.err
    assert "take the one that was made for this model" in done.out + done.err


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.gguf", "cannot be read: No such file or directory"),
        (".", "cannot be read: it is a folder"),
        ("text.gguf", "is not a GGUF: it is a text"),
        (str(DEMO), "is no multimodal projector: its architecture is 'llama'"),
    ],
)
def test_what_is_no_projector_is_named(
    seeing: Path, tmp_path: Path, name: str, problem: str
) -> None:
    (tmp_path / "text.gguf").write_text("hello, this is a text\n")
    done = Program(seeing)("-p", "Hi", "--mmproj", str(tmp_path / name))

    assert done.code in (1, 2)
    assert problem in done.err


def test_it_is_removed_added_and_replaced(
    modelembed: Program, seeing: Path, pair: Pair, tmp_path: Path
) -> None:
    blind, again, other = (tmp_path / name for name in ("blind", "again", "other"))
    assert modelembed("edit", str(seeing), "--mmproj", "none", "-o", str(blind)).code == 0
    assert ["model"] == list(parts(blind))
    assert "projector" not in findings(blind)

    done = Program(blind)("edit", "--mmproj", str(pair.projector), "-o", str(again))
    assert done.code == 0, done.err
    assert CODINGS[seeing.name] == parts(again)["projector"]["codec"]
    size, length = pair.projector.stat().st_size, parts(again)["projector"]["length"]
    assert length == size if seeing.name == "none" else length < 0.95 * size
    done = Program(again)("extract", "projector", "-o", str(tmp_path / "back.gguf"))
    assert (0, pair.projector.read_bytes()) == (done.code, (tmp_path / "back.gguf").read_bytes())
    assert "takes pictures (mlp)" in findings(again)
    assert "intact\n" == Program(again)("verify").out

    new = write_projector(tmp_path / "new.gguf", seed=1)
    done = modelembed("edit", str(again), "--mmproj", str(new), "-o", str(other))
    assert done.code == 0, done.err
    assert ["model", "projector"] == list(parts(other))
    assert CODINGS[seeing.name] == parts(other)["projector"]["codec"]
    assert parts(again)["projector"]["sha256"] != parts(other)["projector"]["sha256"]


def test_edit_refuses_what_does_not_fit(
    modelembed: Program, seeing: Path, forms: dict[str, Path], tmp_path: Path
) -> None:
    wide = write_projector(tmp_path / "wide.gguf", width=128)
    done = modelembed("edit", str(seeing), "--mmproj", str(wide), "-o", str(tmp_path / "new"))
    assert (1, True) == (done.code, "vectors of 128 numbers" in done.err)
    assert not (tmp_path / "new").exists()

    done = modelembed("edit", str(forms["stored"]), "--mmproj", "none")
    assert (2, True) == (done.code, "has no projector to remove" in done.err)


def test_another_runtime_keeps_it(
    modelembed: Program, seeing: Path, stub: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    assert modelembed("upgrade", str(seeing), "--stub", str(stub), "-o", str(new)).code == 0
    assert parts(seeing)["projector"]["sha256"] == parts(new)["projector"]["sha256"]


def test_it_lies_in_the_file_beside_the_program(
    modelembed: Program, pair: Pair, stub: Path, tmp_path: Path
) -> None:
    target = tmp_path / "chat"
    bundled(modelembed, pair, target, "--sidecar", "--compress", "none")
    takes = "ok    projector    takes pictures (mlp)"

    assert takes in findings(target)
    assert takes in findings(stub, "-m", f"{target}.payload")
    done = modelembed("edit", str(target), "--mmproj", "none")
    assert (2, True) == (done.code, "lie in a file of their own" in done.err)
    assert "the same bytes\n" == modelembed("rebuild-check", str(target)).out


def test_what_conversations_begin_with_is_computed_beside_it(
    modelembed: Program, pair: Pair, tmp_path: Path
) -> None:
    target = tmp_path / "warm"
    bundled(
        modelembed, pair, target, "--prewarm", "--system", "the cat and the", "--compress", "max"
    )

    assert ["model", "projector", "beginning"] == list(parts(target))
    report = tmp_path / "report.json"
    assert Program(target)("-p", "Hi", "-n", "1", "--report", str(report)).code == 0
    assert json.loads(report.read_text())["prewarmed_tokens"] > 0


def test_one_beside_the_model_is_told_of(modelembed: Program, pair: Pair, tmp_path: Path) -> None:
    target = tmp_path / "chat"
    quick = ("--no-check", "--compress", "none")
    done = modelembed("bundle", str(pair.model), "-o", str(target), *quick)

    assert done.code == 0
    assert f"--mmproj {pair.projector} adds it" in done.err
    assert ["model"] == list(parts(target))
    silent = modelembed(
        "bundle", str(pair.model), "-o", str(target), "--mmproj", "none", "--force", *quick
    )
    assert "mmproj" not in silent.err


def test_one_beside_the_model_is_asked_for(modelembed: Program, pair: Pair, tmp_path: Path) -> None:
    target = tmp_path / "chat"
    quick = ("--no-check", "--compress", "none")
    for answer, expected in (("n", ["model"]), ("", ["model", "projector"])):
        terminal = Terminal(
            modelembed.path, "bundle", str(pair.model), "-o", str(target), "--force", *quick
        )
        terminal.shows("Add it?")
        terminal.type(answer)
        assert 0 == terminal.ended()
        assert expected == list(parts(target))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"supports_images": True}, ["model", "projector"]),
        ({"supports_images": False}, ["model"]),
        ({"mmproj": "mmproj-llava.gguf"}, ["model", "projector"]),
        ({"mmproj": "none"}, ["model"]),
    ],
)
def test_a_config_file_says_whether_images_are_supported(
    modelembed: Program, pair: Pair, tmp_path: Path, config: dict[str, Any], expected: list[str]
) -> None:
    path = pair.model.with_name("config.json")
    path.write_text(json.dumps({"model_path": "llava.gguf", **config}))
    target = tmp_path / "chat"
    done = modelembed(
        "bundle", "--config", str(path), "-o", str(target), "--no-check", "--compress", "none"
    )
    assert done.code == 0, done.err
    assert "mmproj" not in done.err
    assert expected == list(parts(target))


def test_images_that_are_to_be_supported_need_a_projector(
    modelembed: Program, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_path": str(DEMO), "supports_images": True}))
    done = modelembed("bundle", "--config", str(path), "-o", str(tmp_path / "chat"))

    assert done.code == 2
    assert "'supports_images' is true, and no projector for pictures lies beside" in done.err


def test_one_that_does_not_fit_is_refused_while_bundling(
    modelembed: Program, pair: Pair, tmp_path: Path
) -> None:
    target = tmp_path / "chat"
    gemma = write_projector(tmp_path / "gemma.gguf", "gemma3")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(pair.projector.read_bytes()[:-64])
    for path, problem in {
        write_projector(tmp_path / "wide.gguf", width=128): "makes vectors of 128 numbers",
        gemma: "of the type 'gemma3' belongs to models of the architecture gemma3",
        cut: "is truncated",
        pair.model: "is no multimodal projector",
    }.items():
        done = modelembed("bundle", str(pair.model), "--mmproj", str(path), "-o", str(target))
        assert (1, True) == (done.code, problem in done.err), done.err
        assert not target.exists()


def test_a_projector_alone_is_no_model(modelembed: Program, pair: Pair, tmp_path: Path) -> None:
    done = modelembed("bundle", str(pair.projector), "-o", str(tmp_path / "chat"))

    assert done.code == 1
    assert "is a multimodal projector" in done.err
    assert f"--mmproj {pair.projector}" in done.err


def test_the_self_check_asks_about_a_picture(
    modelembed: Program, pair: Pair, tmp_path: Path
) -> None:
    target = tmp_path / "chat"
    done = modelembed("bundle", str(pair.model), "--mmproj", str(pair.projector), "-o", str(target))
    assert done.code == 0, done.err
    assert re.search(r"size .*, the projector: 594 kB\)", done.err)


def test_pictures_are_answered_about_however_it_is_coded(
    seeing: Path, stub: Path, pair: Pair, tmp_path: Path
) -> None:
    """The same as with the two files that it was made of, and each picture otherwise."""
    flags = ("--temp", "0", "-n", "12")
    beside = Program(stub, ("-m", str(pair.model), "--mmproj", str(pair.projector), *flags))
    answers = set()
    for number, data in enumerate(list(gallery().values())[:3]):
        path = tmp_path / f"{number}.png"
        path.write_bytes(data)
        answer = Program(seeing, flags).ask("What is it?", "--image", str(path))
        assert beside.ask("What is it?", "--image", str(path)) == answer
        answers.add(answer)
    assert 3 == len(answers)


def test_a_picture_without_a_projector_is_refused(seeing: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(next(iter(gallery().values())))
    done = Program(seeing)("-p", "What is it?", "--image", str(path), "--no-mmproj")
    assert done.code in (1, 2)
    assert "picture" in done.err
