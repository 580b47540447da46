"""The process outside: what it is asked for, what it refuses, and how it ends."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import open_files
import pytest

from runtime.errors import AppError, SessionError
from runtime.sandbox.outside import MESSAGE_MAX, Outside, Reply


def whoami(given: Mapping[str, Any], _: int | None) -> Reply:
    gc.collect()  # closes what earlier tests have left, before the open files are counted
    return Reply({"process": os.getpid(), **given})


def refuse(given: Mapping[str, Any], _: int | None) -> Reply:
    raise SessionError(f"{given['name']} is kept", hint="take another")


def content(_: Mapping[str, Any], fd: int | None) -> Reply:
    assert fd is not None
    return Reply({"text": os.pread(fd, 100, 0).decode()}, os.dup(fd))


@pytest.fixture
def outside() -> Iterator[Outside]:
    made = Outside({"whoami": whoami, "refuse": refuse, "content": content})
    yield made
    made.close()


def test_another_process_replies(outside: Outside) -> None:
    name = "\udcff strange \n name"
    found = outside.ask("whoami", name=name).values
    assert os.getpid() != found["process"]
    assert name == found["name"]


def test_its_errors_are_those_of_the_program(outside: Outside) -> None:
    with pytest.raises(SessionError, match="x is kept") as caught:
        outside.ask("refuse", name="x")
    assert "take another" == caught.value.hint
    assert outside.ask("whoami").values["process"]


def test_files_go_both_ways_and_none_stays_open(outside: Outside, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("hello")
    process = outside.ask("whoami").values["process"]
    there = open_files.of_process(process)
    with open_files.none_left():
        for _ in range(20):
            with open(path, "rb") as file:
                reply = outside.ask("content", file.fileno())
            assert "hello" == reply.values["text"]
            assert reply.fd is not None
            assert b"hello" == os.pread(reply.fd, 100, 0)
            os.close(reply.fd)
    outside.ask("whoami")  # the last question is done with, also there
    assert there == open_files.of_process(process)


def test_a_name_without_end_is_refused(outside: Outside) -> None:
    with pytest.raises(AppError, match="too long"):
        outside.ask("whoami", name="x" * MESSAGE_MAX)
    assert outside.ask("whoami").values["process"]


def test_when_it_has_ended_that_is_said(outside: Outside) -> None:
    process = outside.ask("whoami").values["process"]
    os.kill(process, signal.SIGKILL)
    with pytest.raises(AppError, match="second process"):
        while True:
            outside.ask("whoami")


def test_ctrl_c_is_not_for_it_and_it_ends_with_the_program(outside: Outside) -> None:
    process = outside.ask("whoami").values["process"]
    os.kill(process, signal.SIGINT)
    assert process == outside.ask("whoami").values["process"]
    outside.close()
    assert not Path(f"/proc/{process}").exists()
