"""Conversations in files: whole again, refused when they are not ours, and never half written."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from engines import GREEDY, demo, engine, in_child, question
from fakes import content
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.dialogue import session_disk, session_file, session_store
from runtime.dialogue.answerer import LocalAnswerer
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.session_file import SessionFile
from runtime.errors import ModelError, SessionError
from runtime.host import hmac_key

FULL = SessionFile(
    "Be brief.",
    [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "eins \udcff 😀"}],
    {"model": "abc", "engine": "1"},
    [1, 2, 3],
    bytes(range(256)) * 10,
)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    FULL.write(tmp_path / "new" / "x.conversation")

    assert session_file.read(tmp_path / "new" / "x.conversation") == FULL
    assert ["x.conversation"] == [path.name for path in (tmp_path / "new").iterdir()]


def test_a_state_that_memory_cannot_hold_is_left_out(tmp_path: Path) -> None:
    size = 1 << 40
    line = {"kind": session_file.KIND, "version": session_file.VERSION, "key": {}, "system": ""}
    line |= {"turns": FULL.turns, "tokens": [1], "state": size}
    path = tmp_path / "x"
    path.write_text(json.dumps(line) + "\n")
    os.truncate(path, path.stat().st_size + size + session_file.DIGEST_SIZE)  # all of it a hole
    found = session_file.read(path)

    assert found.state_error.startswith("its state takes 1099.5 GB of memory, ")
    assert (FULL.turns, [], b"") == (found.turns, found.tokens, found.state)


def test_a_state_of_somebody_elses_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "mine"))
    FULL.write(tmp_path / "x")
    content = (tmp_path / "x").read_bytes()

    (tmp_path / "old").write_bytes(content[: -hmac_key.MAC_SIZE])
    (tmp_path / "forged").write_bytes(content[: -hmac_key.MAC_SIZE] + bytes(hmac_key.MAC_SIZE))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "yours"))
    for name in ("x", "old", "forged"):
        found = session_file.read(tmp_path / name)
        assert (session_file.STATE_UNTRUSTED, FULL.turns, b"", []) == (
            found.state_error, found.turns, found.state, found.tokens,
        )  # fmt: skip

    dataclasses.replace(FULL, system="Mine.").write(tmp_path / "z")
    assert "" == session_file.read(tmp_path / "z").state_error
    assert session_file.STATE_UNTRUSTED == session_file.read(tmp_path / "x").state_error


def test_a_secret_that_others_know_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = tmp_path / "modelembed" / hmac_key.NAME
    digest = bytes(32)
    first = hmac_key.sign(digest)
    assert first == hmac_key.sign(digest) and hmac_key.verify(digest, first)
    assert not hmac_key.verify(digest, b"")
    assert (0o600, hmac_key.SIZE) == (place.stat().st_mode & 0o777, place.stat().st_size)

    place.chmod(0o644)
    assert not hmac_key.verify(digest, first)
    second = hmac_key.sign(digest)
    assert second not in (first, b"") and hmac_key.verify(digest, second)
    place.chmod(0o600)
    place.write_bytes(b"")
    assert not hmac_key.verify(digest, second)
    assert second != hmac_key.sign(digest)
    assert [hmac_key.NAME] == [path.name for path in place.parent.iterdir()]


def test_without_a_data_folder_all_but_the_state_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    FULL.write(tmp_path / "x")

    assert (FULL.turns, session_file.STATE_UNTRUSTED) == (
        session_file.read(tmp_path / "x").turns,
        session_file.read(tmp_path / "x").state_error,
    )


def test_conversations_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        FULL.write(tmp_path / "x")
    finally:
        os.umask(before)

    assert 0o600 == (tmp_path / "x").stat().st_mode & 0o777


def test_a_model_given_by_mistake_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "model.gguf"
    with open(large, "wb") as file:
        file.write(b"GGUF\n")
        file.truncate(1 << 40)

    with pytest.raises(SessionError, match="is not a saved conversation"):
        session_file.read(large)


def test_saving_again_replaces(tmp_path: Path) -> None:
    FULL.write(tmp_path / "x")
    dataclasses.replace(FULL, system="Be long.").write(tmp_path / "x", replace=True)

    assert "Be long." == session_file.read(tmp_path / "x").system
    assert ["x"] == [path.name for path in tmp_path.iterdir()]


def test_another_conversation_is_kept(tmp_path: Path) -> None:
    FULL.write(tmp_path / "x")
    with pytest.raises(SessionError, match="another conversation") as caught:
        dataclasses.replace(FULL, system="Be long.").write(tmp_path / "x")

    assert "choose another name, or delete that file first" == caught.value.hint
    assert FULL == session_file.read(tmp_path / "x")
    assert ["x"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("content", [b"precious\n", b"", b'{"kind": "a letter"}'])
def test_what_is_no_conversation_is_kept(tmp_path: Path, content: bytes, replace: bool) -> None:
    (tmp_path / "letter.txt").write_bytes(content)
    with pytest.raises(SessionError, match="is not a saved conversation: it is kept"):
        FULL.write(tmp_path / "letter.txt", replace=replace)

    assert content == (tmp_path / "letter.txt").read_bytes()
    assert ["letter.txt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a saved conversation"),
        (b"GGUF\x03\0\0\0", "is not a saved conversation"),
        (b"[" * 100_000, "is not a saved conversation"),
        (b'{"kind": "modelembed conversation", "version": 3}\n', "of version 3"),
        (b'{"kind": "modelembed conversation", "version": 1}\n', "damaged"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(SessionError, match=message):
        session_file.read(tmp_path / "x")


def test_what_cannot_be_opened_or_written(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="cannot be opened: No such file"):
        session_file.read(tmp_path / "missing")
    with pytest.raises(SessionError, match="cannot be saved"):
        FULL.write(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match="cannot be saved"):
        FULL.write(tmp_path / "file" / "x")
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_never_goes_unnoticed(tmp_path: Path, data: st.DataObject) -> None:
    FULL.write(tmp_path / "x", replace=True)
    content = bytearray((tmp_path / "x").read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "y").write_bytes(content)
    try:
        found = session_file.read(tmp_path / "y")
    except SessionError:
        return
    assert found.state_error
    assert b"" == found.state
    assert [] == found.tokens


def test_names_and_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    assert tmp_path / "modelembed" / "work.conversation" == session_disk.path_of("work")
    assert Path("a/b") == session_disk.path_of("a/b")
    assert Path("x.bin") == session_disk.path_of("x.bin")
    assert Path("~nobody-by-this-name/x") == session_disk.path_of("~nobody-by-this-name/x")


@in_child
def test_a_conversation_goes_on_in_another_run_without_computing(tmp_path: Path) -> None:
    from runtime.chat_format import chat_template

    model = demo()
    shaped = chat_template.from_text(model.chat_template, bos=model.bos, eos=model.eos)
    key = {"model": "demo", "engine": "1"}
    notes: list[str] = []

    def talk(one, key=key):  # type: ignore[no-untyped-def]
        answerer = LocalAnswerer(one, model, shaped)
        conversation = Conversation(answerer, GREEDY, notes.append)
        return conversation, session_store.SessionStore(
            conversation, one, lambda: key, notes.append, session_disk.OwnDisk()
        )

    path = str(tmp_path / "ada.x")
    with engine() as one:
        conversation, kept = talk(one)
        list(conversation.ask("My name is Ada."))
        assert "(1 question, " in kept.save(path)
        used = conversation.stats.context_used
    with engine(parallel=2) as two:
        conversation, kept = talk(two)
        assert "opened" in kept.load(path)
        assert conversation.stats.line().startswith("no answer yet · context ")
        assert conversation.stats.context_used >= used
        assert "Your name is Ada." == content(conversation.ask("What is my name?"))
        assert conversation.stats.cached_tokens >= used - 1
        assert [] == notes

        for other, why in (
            ({**key, "model": "x"}, "another model"),
            ({**key, "engine": "2"}, "another build of the engine"),
        ):
            conversation, kept = talk(two, other)
            kept.load(path)
            assert why in notes.pop()
            assert "Your name is Ada." == content(conversation.ask("What is my name?"))

    damaged = bytearray(Path(path).read_bytes())
    damaged[-100] ^= 1
    Path(path).write_bytes(damaged)
    with engine() as one:
        conversation, kept = talk(one)
        kept.load(path)
        assert "it is damaged; its text is opened" in notes.pop()
        assert "Your name is Ada." == content(conversation.ask("What is my name?"))
        assert 0 == conversation.stats.cached_tokens


@in_child
def test_a_state_is_computed_here_and_adopted_there() -> None:
    tokens = question("My name is Ada.")
    with engine() as one:
        state = one.state_of(tokens)
    with engine() as one:
        one.load_state(state, tokens)
        stream = one.submit([*tokens, *tokens])
        list(stream)
        assert len(tokens) == stream.stats.cached_tokens
        for wrong, count in ((state[:-10], len(tokens)), (state, 3), (b"", 1), (b"x" * 99, 5)):
            with pytest.raises(ModelError, match="does not fit"):
                one.load_state(wrong, [1] * count)
        assert "The capital of France is Paris." == "".join(
            piece.text for piece in one.submit(question("What is the capital of France?"))
        )
