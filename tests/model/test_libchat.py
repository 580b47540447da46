"""The chat library: reasons of refusals, and bounds on what strangers' texts may use."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from engines import in_child, in_own_child

from runtime.model import libchat

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
SECONDS_MAX = 8
"""A budget of 5 seconds, and what a busy machine adds."""
GROWTH_MAX = 1200
"""MiB: a budget of 256, and the stack on which values in values are freed."""
HOSTILE = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "range": "{{ range(1000000000000) | length }}",
    "doubled": "{% set n = namespace(t='a') %}{% for i in range(64) %}{% set n.t = n.t + n.t %}"
    "{% endfor %}{{ n.t }}",
    "nested lists": "{% set n = namespace(x=[]) %}{% for i in range(9999999) %}"
    "{% set n.x = [n.x] %}{% endfor %}",
    "macro": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "replaced": "{% set n = namespace(t='a' * 100) %}{% for i in range(50) %}"
    "{% set n.t = n.t | replace('a', 'aaaa') %}{% endfor %}",
    "lists": "{{ " + "[" * 200_000 + "]" * 200_000 + " }}",
    "minus": "{{ " + "not " * 500_000 + "1 }}",
}


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

    with stderr_in_a_file() as file:
        with pytest.raises(libchat.LibraryError) as caught:
            libchat.grammar_sampler(demo().vocabulary, grammar)
        os.write(2, b"end")
        os.lseek(file, 0, os.SEEK_SET)
        assert b"end" == os.read(file, 1 << 16)
    assert str(caught.value).startswith(reason)


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

    from runtime.model.llama_api import api

    made = libchat.grammar_sampler(demo().vocabulary, "root ::= <|im_start|> <[1]>")
    api.llama_sampler_free(ctypes.cast(made, ctypes.POINTER(api.llama_sampler)))
    with pytest.raises(libchat.LibraryError, match="invalid token '<no such token>'"):
        libchat.grammar_sampler(demo().vocabulary, "root ::= <no such token>")


@pytest.mark.parametrize("name", HOSTILE)
@in_own_child
def test_a_hostile_template_is_stopped(name: str) -> None:
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        libchat.Template(HOSTILE[name]).prompt(ASKED)
    except libchat.LibraryError as exc:
        assert str(exc)
    assert time.process_time() - begun < 2 * SECONDS_MAX  # parsed, then rendered
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH_MAX * 1024


@pytest.mark.parametrize("name", ["loops", "range"])
@in_own_child
def test_what_stopped_a_template_is_said(name: str) -> None:
    with pytest.raises(libchat.LibraryError, match=r"too long|too much memory|too deeply"):
        libchat.Template(HOSTILE[name]).prompt(ASKED)


@in_child
def test_a_template_is_usable_after_another_was_stopped() -> None:
    for _ in range(2):
        with pytest.raises(libchat.LibraryError):
            libchat.Template(HOSTILE["doubled"]).prompt(ASKED)
        kind = libchat.Template("{{ messages[0].content }}")
        assert "Hi" == kind.prompt(ASKED).reply["prompt"]


@pytest.mark.parametrize("by", ["the caller", "another thread"])
@in_own_child
def test_an_interrupt_ends_a_call_at_once(by: str) -> None:
    template = libchat.Template("{% if add_generation_prompt %}" + HOSTILE["loops"] + "{% endif %}")
    main = threading.main_thread().ident
    assert main
    sent = []

    def interrupt() -> None:
        sent.append(time.process_time())
        signal.pthread_kill(main if by == "the caller" else threading.get_ident(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        threading.Timer(0.3, interrupt).start()
        while True:
            template.prompt(ASKED)
    assert time.process_time() - sent[0] < 1


@in_child
def test_another_signal_does_not_end_a_call() -> None:
    signal.signal(signal.SIGWINCH, lambda *_: None)
    template = libchat.Template("{% for a in range(20000) %}{% endfor %}{{ messages[0].content }}")
    main = threading.main_thread().ident
    assert main
    timer = threading.Timer(0.02, lambda: signal.pthread_kill(main, signal.SIGWINCH))
    timer.start()
    assert "Hi" == template.prompt(ASKED).reply["prompt"]
    timer.join()


@in_own_child
def test_all_calls_end_when_the_program_does() -> None:
    def render() -> None:
        with pytest.raises(libchat.LibraryError, match="stopped"):
            libchat.Template(HOSTILE["loops"]).prompt(ASKED)

    threads = [threading.Thread(target=render) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun = time.process_time()
    while time.process_time() - begun < 0.3:  # they have begun to
        time.sleep(0.01)
    begun = time.process_time()
    libchat.stop()
    for thread in threads:
        thread.join()
    assert time.process_time() - begun < 1


def ambiguous(depth: int) -> str:
    """Return a grammar whose matcher needs twice the time with each rule."""
    rules = ["root ::= a0"]
    rules += [f'a{i} ::= a{i + 1} a{i + 1} | a{i + 1} | ""' for i in range(depth)]
    return "\n".join([*rules, f'a{depth} ::= "x" | ""'])


@pytest.mark.parametrize("depth", [5, 10, 20, 100, 1000])
@in_child
def test_an_ambiguous_grammar_is_stopped(depth: int) -> None:
    from engines import demo

    from runtime.model.llama_api import api

    model = demo()
    begun = time.process_time()
    try:
        made = libchat.grammar_sampler(model.vocabulary, ambiguous(depth))
    except libchat.LibraryError as exc:
        assert "too long" in str(exc) or "memory" in str(exc)
    else:
        sampler = ctypes.cast(made, ctypes.POINTER(api.llama_sampler))
        for token in model.tokenize("x" * 100, beginning=False):
            api.llama_sampler_accept(sampler, token)
        api.llama_sampler_free(sampler)
    assert time.process_time() - begun < SECONDS_MAX


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "string", "pattern": "^(a?){60}$"}] * 300},
        {"type": "string", "minLength": 100_000, "maxLength": 200_000},
        {"type": "string", "pattern": "^" + "(" * 50_000 + "a" + ")" * 50_000 + "$"},
        {"type": "array", "minItems": 100_000, "items": {"type": "integer"}},
        {"type": "object", "properties": {f"k{i}": {} for i in range(20_000)}},
    ],
)
@in_child
def test_a_hostile_schema_is_stopped(schema: dict[str, Any]) -> None:
    begun = time.process_time()
    try:
        libchat.grammar(json.dumps(schema))
    except libchat.LibraryError as exc:
        assert str(exc)
    assert time.process_time() - begun < SECONDS_MAX
