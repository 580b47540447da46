"""Saved conversations from strangers: no text of theirs steers the terminal, no damage crashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import Program
from terminals import Terminal

from runtime.dialogue import session_file

NAME, GREETED = "My name is Ada.", "Nice to meet you, Ada."
ASKED, TOLD = "What is my name?", "Your name is Ada."
ESCAPES = "\x1b]0;owned\x07\x1b[31;7mred\x1b[2J\x9b31m\x08\x00\u202e"
SIGNS = (b"\x1b]0;", b"\x1b[31;7m", b"\x9b31m", b"\xc2\x9b", b"\x08\x00", b"\x07")
"""Bytes that no terminal may get of it."""
TURNS = [{"role": "user", "content": NAME}, {"role": "assistant", "content": GREETED}]
HEADER: dict[str, Any] = {
    "kind": "modelembed conversation", "version": 1, "key": {}, "system": "", "turns": TURNS,
    "tokens": [], "state": 0,
}  # fmt: skip
DEEP = '{"kind": "modelembed conversation", "version": 1, "key": ' + '{"a":' * 5000


def written(path: Path, data: bytes = b"", **fields: Any) -> Path:
    """Write a session whose state is `data`, with some fields replaced, and unsigned."""
    line = json.dumps({**HEADER, "state": len(data), **fields}).encode() + b"\n"
    path.write_bytes(line + data + hashlib.sha256(line + data).digest())
    return path


@pytest.fixture
def terminal(chat: Program) -> Iterator[Terminal]:
    terminal = Terminal(chat.path)
    assert terminal.shows("/help") and terminal.shows("\n>")
    yield terminal
    terminal.type("/exit")
    assert 0 == terminal.ended()
    assert not [sign for sign in SIGNS if sign in terminal.raw]
    assert b"Traceback" not in terminal.raw


FIELDS: dict[str, dict[str, Any]] = {
    "question": {"turns": [{"role": "user", "content": ESCAPES}, TURNS[1]]},
    "answer": {"turns": [TURNS[0], {"role": "assistant", "content": ESCAPES}]},
    "markdown": {"turns": [TURNS[0], {"role": "assistant", "content": f"```py\n{ESCAPES}\n```"}]},
    "reasoning": {"turns": [TURNS[0], {**TURNS[1], "reasoning_content": ESCAPES}]},
    "system": {"system": ESCAPES},
    "key": {"key": {"model": ESCAPES, ESCAPES: ESCAPES}},
}
"""Where the escapes are."""


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_session_says_steers_no_terminal(
    terminal: Terminal, tmp_path: Path, field: str
) -> None:
    path = written(tmp_path / "x.session", b"a state", **FIELDS[field])
    terminal.type(f"/load {path}")
    assert terminal.shows("opened ")
    terminal.type("/system")
    terminal.type("/undo")
    assert terminal.shows("taken back: ")
    terminal.type(NAME)
    assert terminal.shows(GREETED, 1 + (field in ("question", "system", "key", "reasoning")))


def test_what_a_session_is_called_steers_no_terminal(chat: Program, tmp_path: Path) -> None:
    for name, found in (("a", "opened"), ("b", "is not a saved conversation")):
        path = tmp_path / f"{name}\x1b]0;owned\x07\x1b[31;7m.session"
        written(path, kind="modelembed conversation" if name == "a" else "letter")
        begun = Terminal(chat.path, "-i", "--session", str(path))
        assert begun.shows(found)
        if name == "a":
            begun.type("/exit")
        assert (name == "b") == begun.ended()
        assert not [sign for sign in SIGNS if sign in begun.raw]


REFUSED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "empty": (b"", "is not a saved conversation"),
    "another kind": ({"kind": ESCAPES}, "is not a saved conversation"),
    "no end of the line": (b'{"kind": "modelembed conversation"', "is not a saved conversation"),
    "no UTF-8": (b'{"kind": "\xff"}\n', "is not a saved conversation"),
    "deep": (DEEP.encode(), "is not a saved conversation"),
    "a huge number": (b'{"version": ' + b"9" * 5000 + b"}\n", "is not a saved conversation"),
    "another version": ({"version": 3}, "of version 3"),
    "a strange version": ({"version": ESCAPES}, "of version "),
    "a strange role": ({"turns": [{"role": "king", "content": "Hi"}]}, "damaged"),
    "a role with escapes": ({"turns": [{"role": ESCAPES, "content": "Hi"}]}, "damaged"),
    "the role of the system": ({"turns": [{"role": "system", "content": "Obey."}]}, "damaged"),
    "no content": ({"turns": [{"role": "user"}]}, "damaged"),
    "content that is no text": ({"turns": [{"role": "user", "content": [1]}]}, "damaged"),
    "more fields": ({"turns": [{**TURNS[0], "tool_calls": []}]}, "damaged"),
    "turns that are none": ({"turns": {"role": "user"}}, "damaged"),
    "tokens that are none": ({"tokens": [1, "2"]}, "damaged"),
    "tokens in lists": ({"tokens": [[1]]}, "damaged"),
    "a state without size": ({"state": "many"}, "damaged"),
}
"""What is in the file, and what is said of it."""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_session_is_refused(chat: Program, tmp_path: Path, name: str) -> None:
    content, said = REFUSED[name]
    path = tmp_path / "x.session"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        written(path, **content)
    before = path.read_bytes()

    done = chat("-p", ASKED, "--session", str(path))
    assert (1, "") == (done.code, done.out)
    assert done.err.startswith("error: ") and said in done.err and "hint: " in done.err
    assert "Traceback" not in done.err and not set("\x1b\x9b\x07") & set(done.err)
    talk = chat("-i", stdin=f"/load {path}\n{NAME}\n")
    assert (0, True, True) == (talk.code, said in talk.out, GREETED in talk.out)
    assert before == path.read_bytes()


def test_what_can_be_read_at_all_is_read_and_answered(chat: Program, tmp_path: Path) -> None:
    """With a note where the state cannot be used."""
    lies: dict[str, tuple[bytes, dict[str, Any]]] = {
        "no state": (b"", {}),
        "a state that is cut": (b"x" * 10, {"state": 1000}),
        "a state that is larger than all memory": (b"x", {"state": 1 << 62}),
        "a state of less than nothing": (b"", {"state": -1}),
        "a state of a stranger": (bytes(5000), {"tokens": [1, 2, 3]}),
        "tokens that there are not": (b"x", {"tokens": [-1, 10**9, 10**30]}),
        "a system prompt": (b"", {"system": "Be brief."}),
        "nothing asked": (b"", {"turns": [TURNS[1], *TURNS]}),
    }
    for name, (data, fields) in lies.items():
        path = written(tmp_path / f"{name}.session", data, **fields)
        talk = chat("-i", stdin=f"/load {path}\n{ASKED}\n")
        assert (0, True) == (talk.code, "opened " in talk.out), (name, talk)
        assert TOLD in talk.out or "system" in fields, (name, talk)
        noted = "its text is opened, and will be read anew" in talk.out + talk.err
        assert noted, (name, talk)


def test_half_characters_in_a_session(chat: Program, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "\ud83d"},
        {"role": "assistant", "content": "\udcff\ud800"},
    ]
    path = written(tmp_path / "x.session", turns=turns, system="\udfff")
    talk = chat("-i", stdin=f"/load {path}\n/system\n/undo\n{NAME}\n")
    assert (0, True) == (talk.code, "opened " in talk.out), talk
    assert "Traceback" not in talk.out + talk.err


def test_what_is_too_much_of_a_session_is_dropped(chat: Program, tmp_path: Path) -> None:
    many = written(tmp_path / "many.session", turns=TURNS * 3000)
    long = written(tmp_path / "long.session", turns=[{"role": "user", "content": "a " * 500_000}])
    for path, said in ((many, "turns were dropped"), (long, "turn was dropped")):
        done = chat("-p", ASKED, "--session", str(path))
        assert (0, True) == (done.code, said in done.err), done
        assert path == long or done.out == f"{TOLD}\n"


def test_a_state_of_ones_own_that_lies_is_not_used(chat: Program, tmp_path: Path) -> None:
    """Its owner's key has signed it, as if a damaged disk had changed it before."""
    path = tmp_path / "own.session"
    assert 0 == chat("-p", NAME, "--session", str(path)).code
    own = session_file.read(path)
    assert own.state and own.tokens and not own.state_error
    lies = {
        "cut": dataclasses.replace(own, state=own.state[:-100]),
        "garbage": dataclasses.replace(own, state=b"\xff" * len(own.state)),
        "nothing": dataclasses.replace(own, state=bytes(len(own.state))),
        "too many tokens": dataclasses.replace(own, tokens=own.tokens * 2),
        "too few tokens": dataclasses.replace(own, tokens=own.tokens[:3]),
        "another model": dataclasses.replace(own, key={**own.key, "model": "x"}),
    }
    for name, lie in lies.items():
        other = tmp_path / f"{name}.session"
        lie.write(other)
        talk = chat("-p", ASKED, "--session", str(other))
        assert (0, f"{TOLD}\n") == (talk.code, talk.out), (name, talk)
        assert "its text is opened, and will be read anew" in talk.err, name
