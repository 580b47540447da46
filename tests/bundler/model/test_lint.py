"""What is wrong with a model is said in plain words before anything is written."""

from __future__ import annotations

from pathlib import Path

import ggufs
import misfits
import pytest
from paths import DEMO
from program import Program

from bundler.model import lint as model_lint
from bundler.model.lint import ask_engine, preflight
from runtime.errors import GGUFError


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


@pytest.mark.parametrize("kind", sorted(misfits.NOT_GGUF))
def test_what_is_no_gguf_is_named(lint, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    message = lint(misfits.not_gguf(tmp_path / "model.gguf", kind))

    assert "is not a GGUF: it is" in message
    assert "unknown format" not in message or kind == "text"


def test_a_truncated_download(lint, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = ggufs.write_model(tmp_path / "model.gguf")

    assert "truncated: 1,000 of " in lint(misfits.truncated(model, 1000))


@pytest.mark.parametrize(
    ("breaker", "message"),
    [
        (misfits.big_endian, "big-endian"),
        (misfits.vocabulary_only, "only a vocabulary"),
        (misfits.projector, "multimodal projector"),
        (misfits.adapter, "not a whole model"),
        (misfits.unknown_architecture, "which this engine does not know"),
        (misfits.unparsable_template, "does not parse"),
        (misfits.raising_template, "does not render"),
    ],
)
def test_broken_models(lint, tmp_path: Path, breaker, message: str) -> None:  # type: ignore[no-untyped-def]
    assert message in lint(breaker(tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            "error: the engine gave up: no layers\n\nhint: …",
            "it crashes the engine: the engine gave up: no layers",
        ),
        ("", "it crashes the engine"),
    ],
)
def test_a_model_that_ends_the_engine(tmp_path: Path, said: str, problem: str) -> None:
    stub = tmp_path / "stub"
    stub.write_text(f"#!/bin/sh\nprintf %s '{said}' >&2\nkill -ABRT $$\n")
    stub.chmod(0o755)

    with pytest.raises(GGUFError) as caught:
        ask_engine(stub, preflight(ggufs.write_model(tmp_path / "model.gguf")), "")
    assert caught.value.problem.endswith(f"refuses {tmp_path / 'model.gguf'}: {problem}")


@pytest.mark.parametrize("kind", sorted(misfits.HOSTILE))
def test_hostile_models(lint, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    lint(misfits.hostile(tmp_path / "model.gguf", kind))


def test_a_broken_template_can_be_replaced(modelembed: Program, tmp_path: Path) -> None:
    model = misfits.raising_template(tmp_path / "model.gguf")
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


@pytest.mark.parametrize(
    "flags", [("--chat-template", "chatlm"), ("--set", "chat_template=chatlm")]
)
def test_an_unknown_template_is_refused_at_once(
    modelembed: Program, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    model = ggufs.write_model(tmp_path / "model.gguf")
    done = modelembed("bundle", str(model), "-o", str(tmp_path / "x"), "--no-check", *flags)

    assert 2 == done.code
    problem = "error: there is no chat template called 'chatlm'\n\nhint: did you mean "
    assert done.err.startswith(f"stub: from the cache\n{problem}")  # it was not compressed before
    assert ["model.gguf"] == [path.name for path in tmp_path.iterdir()]


def test_a_missing_template_is_replaced_visibly(modelembed: Program, tmp_path: Path) -> None:
    model = ggufs.no_template(tmp_path / "model.gguf")
    target = tmp_path / "chat"
    done = modelembed("bundle", str(model), "-o", str(target), "--no-check")

    assert done.code == 0
    assert "no chat template: chats will use 'chatml'" in done.err
    assert "it continues the text" in Program(target)("hello", "-n", "2").err
    assert "no chat template: using 'chatml'" in Program(target)("hello", "-n2", "--no-raw").err
    chosen = Program(target)("hello", "-n2", "--chat-template", "chatml")
    assert "no chat template" not in chosen.err


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


def test_what_was_made_here_is_no_model(
    modelembed: Program, forms: dict[str, Path], tmp_path: Path
) -> None:
    chat = tmp_path / "chat"
    done = modelembed("bundle", str(DEMO), "-o", str(chat), "--sidecar", "--no-check")
    assert 0 == done.code

    for path, said in (
        (forms["stored"], "is a program already, made by modelembed"),
        (chat, "is a program already, made by modelembed"),
        (Path(f"{chat}.payload"), "is the payload of a program made by modelembed"),
    ):
        done = modelembed("bundle", str(path), "-o", str(tmp_path / "again"), "--no-check")
        assert 1 == done.code
        assert done.err.startswith(f"error: {path} {said}")
        assert "modelembed extract" in done.err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("number", "name"), [(15, "Q4_K_M"), (1, "F16"), (0, "F32"), (1024 + 7, "Q8_0"), (999, "Q4_K")]
)
def test_the_quantization_is_what_the_file_says(tmp_path: Path, number: int, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ggufs.FILE_TYPES, "Q4_K", number)
        model = ggufs.write_model(tmp_path / "model.gguf")

    assert name == model_lint.examine(model_lint.preflight(model)).facts["quantization"]
