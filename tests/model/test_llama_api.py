"""The one door to the engine's library: what it logs reaches whoever called."""

from __future__ import annotations

import threading
from pathlib import Path

import gguf
import ggufs
import pytest
from engines import demo, in_child

SECONDS = 10


@in_child
def test_threads_that_capture_the_log_at_once_get_their_own_lines() -> None:
    from runtime.model.llama_api import WARN, log

    step = threading.Barrier(3, timeout=SECONDS)
    lines: dict[str, list[str]] = {}

    def captures(name: str) -> None:
        with log.captured() as capture:
            step.wait()  # now both capture
            log._receive(WARN, f"{name} complains\n".encode(), None)
            log._receive(WARN - 1, f"{name} tells\n".encode(), None)
            step.wait()  # both have logged
            step.wait()  # so has the engine's own thread
        lines[name] = list(capture.lines)

    threads = [threading.Thread(target=captures, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    step.wait()
    step.wait()
    log._receive(WARN, b"the engine complains\n", None)  # from a thread that captures nothing
    step.wait()
    for thread in threads:
        thread.join(SECONDS)

    assert ["one complains\n", "the engine complains\n"] == lines["one"]
    assert ["two complains\n", "the engine complains\n"] == lines["two"]


@in_child
def test_a_capture_within_another_takes_its_lines() -> None:
    from runtime.model.llama_api import WARN, log

    with log.captured() as outer:
        log._receive(WARN, b"before\n", None)
        with log.captured() as inner:
            log._receive(WARN, b"within\n", None)
        log._receive(WARN, b"after\n", None)

    assert ["within\n"] == list(inner.lines)
    assert ["before\n", "after\n"] == list(outer.lines)


@in_child
def test_the_reason_is_the_last_line_that_says_more_than_that_it_failed() -> None:
    from runtime.model.llama_api import CapturedLog

    for lines, reason in (
        (["load: error loading model: no merges\n\n", "x_y: failed to load model\n"], "no merges"),
        (["llama_model_load: error loading model: check_dims: wrong shape\n"], "wrong shape"),
        (["parse: error: expecting name\n"], "error: expecting name"),
        (["x_y: failed to load model\n"], ""),
        ([], ""),
    ):
        capture = CapturedLog()
        capture.lines.extend(lines)
        assert reason == capture.reason


@in_child
@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("add_token_merges", "cannot find tokenizer merges"),
        ("add_context_length", "key not found in model: llama.context_length"),
        ("add_head_count", "has wrong shape"),
        ("add_tokenizer_pre", "pre-tokenizer"),
        ("add_tokenizer_model", "tokenizer"),
    ],
)
def test_a_refused_model_has_its_reason(tmp_path: Path, method: str, reason: str) -> None:
    from runtime.commands.model_probe import probe_model
    from runtime.errors import ModelError

    def other(writer: gguf.GGUFWriter, value: object) -> None:
        if isinstance(value, str):
            writer.add_string(f"tokenizer.ggml.{method.rpartition('_')[2]}", "nonsense")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf.GGUFWriter, method, other)
        broken = ggufs.write_model(tmp_path / "broken.gguf")
    with pytest.raises(ModelError) as caught:
        demo(broken)

    assert reason in caught.value.problem
    if "tokenizer" in reason:  # the vocabulary is all that is looked at while bundling
        assert reason in next(probe_model(broken, ""))["error"]
