"""The one door to the engine's library: what it logs reaches whoever called."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import pytest
from engines import in_child

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


INFO, WARNING, ERROR, CONTINUED = 2, 3, 4, 5  # of ggml.h


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([], ""),
        ([(WARNING, "load: odd token\n"), (WARNING, "load: odd type\n")], "odd type"),
        # A thrown message may end in a line break of its own.
        ([(ERROR, "load_model: error loading model: no merges\n\n")], "no merges"),
        ([(ERROR, "load: no merges\n"), (ERROR, "load_file: failed to load model\n")], "no merges"),
        ([(ERROR, "load: no merges\n"), (WARNING, "free: odd order\n")], "no merges"),
        ([(ERROR, "\n"), (ERROR, "gguf_init: bad type\n"), (ERROR, "failed\n")], "bad type"),
        ([(ERROR, "load: two lines:\n  the second\n")], "two lines: the second"),
        ([(ERROR, "load: begun"), (CONTINUED, " and ended\n")], "begun and ended"),
        ([(INFO, "load: "), (CONTINUED, "."), (CONTINUED, ".\n")], ""),
        ([(ERROR, "invalid rule: unknown\n")], "invalid rule: unknown"),
        ([(ERROR, "failed to load model\n")], "failed to load model"),
        ([(ERROR, "a: error loading model: check_dims: 't'   has  1,  2\n")], "'t' has 1, 2"),
    ],
)
@in_child
def test_the_reason_is_the_first_error(said: list[tuple[int, str]], reason: str) -> None:
    from runtime.model.llama_api import log

    with log.captured() as capture:
        for level, text in said:
            log._receive(level, text.encode(), None)

    assert reason == capture.reason


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ('root ::= "a" (', "expecting ')' at its end"),
        ("root ::= nothing", "Undefined rule identifier 'nothing'"),
        ("root ::= [a", "unexpected end of input"),
        ('other ::= "b"', "grammar does not contain a 'root' symbol"),
        ("root ::= root", "unsupported grammar, left recursion detected"),
        ("root = (" * 500, "expecting ::= at = (root = ("),
    ],
)
@in_child
def test_a_grammar_that_cannot_be_used_has_a_reason(grammar: str, reason: str) -> None:
    from engines import demo

    from runtime.model.llama_api import REASON_MAX, grammar_sampler

    with stderr_in_a_file() as file:
        made, found = grammar_sampler(demo().vocabulary, grammar)
        os.write(2, b"end")
        os.lseek(file, 0, os.SEEK_SET)
        assert b"end" == os.read(file, 1 << 16)
    assert not made
    assert found.startswith(reason)
    assert len(found) <= REASON_MAX


@contextlib.contextmanager
def stderr_in_a_file() -> Iterator[int]:
    """Let what is written to file descriptor 2 go into a file instead."""
    usual, file = os.dup(2), os.memfd_create("stderr")
    os.dup2(file, 2)
    try:
        yield file
    finally:
        os.dup2(usual, 2)
        os.close(usual)
        os.close(file)


@in_child
def test_a_grammar_may_name_tokens_of_the_vocabulary() -> None:
    from engines import demo

    from runtime.model.llama_api import api, grammar_sampler

    made, reason = grammar_sampler(demo().vocabulary, "root ::= <|im_start|> <[1]>")
    assert (True, "") == (bool(made), reason)
    api.llama_sampler_free(made)
    made, reason = grammar_sampler(demo().vocabulary, "root ::= <no such token>")
    assert (False, "invalid token '<no such token>'") == (bool(made), reason)
