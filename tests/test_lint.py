"""What is wrong with a model is said in plain words before anything is written."""

from __future__ import annotations

from pathlib import Path

import ggufs
import pytest
from conftest import Program


@pytest.fixture
def lint(modelembed: Program, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Return a function that bundles a model which must be refused, and gives the message."""

    def refuse(model: Path, *flags: str) -> str:
        target = tmp_path / "out"
        done = modelembed("bundle", str(model), "-o", str(target), "--no-check", *flags)
        assert done.code == 1, done.err
        assert "Traceback" not in done.err
        assert "\n\nhint: " in done.err
        assert not target.exists()
        return done.err

    return refuse


@pytest.mark.parametrize("kind", sorted(ggufs.NOT_GGUF))
def test_what_is_no_gguf_is_named(lint, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    message = lint(ggufs.not_gguf(tmp_path / "model.gguf", kind))

    assert "is not a GGUF: it is" in message
    assert "unknown format" not in message or kind == "text"


def test_a_truncated_download(lint, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = ggufs.write_model(tmp_path / "model.gguf")

    assert "truncated: 1,000 of " in lint(ggufs.truncated(model, 1000))


@pytest.mark.parametrize(
    ("breaker", "message"),
    [
        (ggufs.big_endian, "big-endian"),
        (ggufs.vocabulary_only, "only a vocabulary"),
        (ggufs.projector, "multimodal projector"),
        (ggufs.adapter, "not a whole model"),
        (ggufs.unknown_architecture, "which this engine does not know"),
        (ggufs.unparsable_template, "does not parse"),
        (ggufs.raising_template, "does not render"),
    ],
)
def test_broken_models(lint, tmp_path: Path, breaker, message: str) -> None:  # type: ignore[no-untyped-def]
    assert message in lint(breaker(tmp_path / "model.gguf"))


@pytest.mark.parametrize("kind", sorted(ggufs.HOSTILE))
def test_hostile_models(lint, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    lint(ggufs.hostile(tmp_path / "model.gguf", kind))


def test_a_broken_template_can_be_replaced(modelembed: Program, tmp_path: Path) -> None:
    model = ggufs.raising_template(tmp_path / "model.gguf")
    own = tmp_path / "template.jinja"
    own.write_text(ggufs.CHATML)
    for choice in ("chatml", str(own)):
        target = tmp_path / "chat"
        done = modelembed(
            "bundle", str(model), "-o", str(target), "--no-check", "--force",
            "--chat-template", choice,
        )  # fmt: skip
        assert done.code == 0, done.err
        assert Program(target)("hello", "-n", "2").code == 0

    wrong = modelembed(
        "bundle", str(model), "-o", str(tmp_path / "x"), "--no-check", "--chat-template", "chatlm"
    )
    assert wrong.code == 1
    assert "there is no chat template called 'chatlm'" in wrong.err


def test_a_missing_template_is_replaced_visibly(modelembed: Program, tmp_path: Path) -> None:
    model = ggufs.no_template(tmp_path / "model.gguf")
    target = tmp_path / "chat"
    done = modelembed("bundle", str(model), "-o", str(target), "--no-check")

    assert done.code == 0
    assert "no chat template: using 'chatml'" in done.err
    shown = Program(target)("hello", "-n", "2")
    assert "no chat template" not in shown.err  # baked in, so chosen
    assert "chatml" in Program(target)("info").out


@pytest.mark.parametrize("architecture", ggufs.ARCHITECTURES)
def test_every_architecture_runs(modelembed: Program, tmp_path: Path, architecture: str) -> None:
    model = ggufs.write_model(tmp_path / "m.gguf", arch=architecture)
    target = tmp_path / "chat"
    done = modelembed("bundle", str(model), "-o", str(target))

    assert done.code == 0, done.err
    assert "tokens/s" in done.err


@pytest.mark.parametrize("weights", ggufs.WEIGHT_TYPES)
def test_every_weight_type_runs_alike_stored_and_compressed(
    modelembed: Program, tmp_path: Path, weights: str
) -> None:
    model = ggufs.write_model(tmp_path / "m.gguf", weight_type=weights)
    answers = []
    for compression in ("none", "zstd"):
        target = tmp_path / compression
        done = modelembed(
            "bundle", str(model), "-o", str(target), "--no-check", "--compress", compression
        )
        assert done.code == 0, done.err
        answer = Program(target)("hello", "--temp", "0", "-n", "8")
        assert answer.code == 0, answer.err
        answers.append(answer.out)

    assert answers[0] == answers[1]
