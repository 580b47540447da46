"""Machines of --rpc: their names, and how a loss is recognised."""

from __future__ import annotations

import pytest

from runtime.devices import remote
from runtime.errors import UsageError, WorkerError


def test_names_are_split_and_kept_once() -> None:
    assert ["a:1", "10.0.0.2:50052"] == remote.names("a:1, 10.0.0.2:50052,,a:1")
    assert [] == list(remote.names(""))


@pytest.mark.parametrize("wrong", ["a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:1:2", "a:²"])
def test_what_is_no_name_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="is no machine and port"):
        remote.names(f"good:1,{wrong}")


def test_more_than_the_engine_can_use_are_refused() -> None:
    remote.names(",".join(f"a:{port}" for port in range(1, 17)))
    with pytest.raises(UsageError, match="17 machines are named; the engine uses 16 at most"):
        remote.names(",".join(f"a:{port}" for port in range(1, 18)))


def test_the_lost_machine_is_in_what_the_engine_says() -> None:
    assert "127.0.0.1:50052" == remote.lost("lost the worker 127.0.0.1:50052")
    assert "" == remote.lost("GGML_ASSERT(n > 0) failed")


def test_those_that_do_not_answer_are_left_out() -> None:
    notes: list[str] = []

    assert "" == remote.usable("127.0.0.1:1,nowhere.invalid:1", notes.append)
    assert "going on without 127.0.0.1:1: 127.0.0.1:1 cannot be reached" in notes[0]
    assert "going on without nowhere.invalid:1: there is no machine called" in notes[1]
    assert "no other machine is left" in notes[2]


def test_a_name_of_nothing_is_said_plainly() -> None:
    with pytest.raises(WorkerError, match=r"^there is no machine called a\.\.b \("):
        remote.find("a..b:1")
