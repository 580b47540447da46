"""The standard streams: what C code writes to stderr can be caught."""

from __future__ import annotations

import os

import pytest

from runtime.host.std_streams import pass_on, with_stderr


def test_what_is_written_meanwhile_is_caught(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")

    assert (7, b"within") == with_stderr(lambda: os.write(2, b"within") + 1)
    pass_on(b"after")
    assert "before after" == capfd.readouterr().err


def test_stderr_is_as_before_if_the_work_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        with_stderr(lambda: 1 // 0)
    os.write(2, b"after")

    assert "after" == capfd.readouterr().err


def test_a_closed_stderr_catches_nothing() -> None:
    usual = os.dup(2)
    os.close(2)
    try:
        assert (7, b"") == with_stderr(lambda: 7)
    finally:
        os.dup2(usual, 2)
        os.close(usual)
