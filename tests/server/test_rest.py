"""Rest: who waits for what, with something that sleeps and wakes in place of a model."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from runtime.errors import MemoryShortage
from runtime.server.http.http_error import HTTPError
from runtime.server.service.rest import Rest, Workers


class Sleeper:
    """Notes what is done to it; each takes a while."""

    def __init__(self, takes: float = 0.02) -> None:
        self.done: list[str] = []
        self.takes = takes
        self.fails = 0

    def sleep(self) -> None:
        assert threading.current_thread() is not threading.main_thread()
        time.sleep(self.takes)
        self.done.append("sleep")

    def wake(self) -> None:
        assert threading.current_thread() is not threading.main_thread()
        time.sleep(self.takes)
        if self.fails:
            self.fails -= 1
            raise MemoryShortage("there is too little memory", hint="close other programs")
        self.done.append("wake")


async def use(rest: Rest, seconds: float = 0.0) -> str:
    async with rest.disturbed():
        await asyncio.sleep(seconds)
        return "answer"


async def asleep(rest: Rest) -> None:
    for _ in range(200):
        rest.tick(False)
        if rest.is_sleeping:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not sleep")


def test_it_sleeps_when_nobody_asks_and_wakes_once_for_all() -> None:
    sleeper = Sleeper()

    async def run() -> None:
        rest = Rest(sleeper, 0.05, Workers(), lambda: sleeper.done.append("woken"))
        assert "answer" == await use(rest)
        await asleep(rest)
        assert ["answer"] * 9 == await asyncio.gather(*(use(rest) for _ in range(9)))
        assert not rest.is_sleeping
        await asleep(rest)

    asyncio.run(run())
    assert ["sleep", "wake", "woken", "sleep"] == sleeper.done


def test_it_does_not_sleep_while_it_is_used_or_a_thread_is_busy() -> None:
    sleeper = Sleeper()

    async def run() -> None:
        rest = Rest(sleeper, 0.05, Workers())
        using = asyncio.create_task(use(rest, 0.2))
        while not using.done():
            rest.tick(False)
            await asyncio.sleep(0.01)
        for _ in range(20):
            rest.tick(True)
            await asyncio.sleep(0.01)
        assert [] == sleeper.done
        await asleep(rest)

    asyncio.run(run())


def test_who_comes_while_it_falls_asleep_waits_for_it_to_wake() -> None:
    sleeper = Sleeper(0.1)

    async def run() -> None:
        rest = Rest(sleeper, 0.01, Workers())
        await asyncio.sleep(0.02)
        rest.tick(False)
        await asyncio.sleep(0.02)
        assert "answer" == await use(rest)

    asyncio.run(run())
    assert ["sleep", "wake"] == sleeper.done


def test_a_failure_is_told_to_all_who_wait_and_tried_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sleeper = Sleeper()

    async def run() -> None:
        rest = Rest(sleeper, 0.01, Workers())
        await asleep(rest)
        sleeper.fails = 1
        found = await asyncio.gather(*(use(rest) for _ in range(3)), return_exceptions=True)
        for one in found:
            assert isinstance(one, HTTPError)
            assert 503 == one.status
            assert "the model cannot be loaded again: there is too little memory" in one.message
        assert rest.is_sleeping
        assert "answer" == await use(rest)

    asyncio.run(run())
    assert 1 == capsys.readouterr().err.count("there is too little memory")


def test_who_leaves_does_not_end_it_for_others() -> None:
    sleeper = Sleeper(0.1)

    async def run() -> None:
        rest = Rest(sleeper, 0.01, Workers())
        await asleep(rest)
        first, second = asyncio.create_task(use(rest)), asyncio.create_task(use(rest))
        await asyncio.sleep(0.02)
        first.cancel()
        assert "answer" == await second

    asyncio.run(run())


def test_nobody_waits_for_a_server_that_stops() -> None:
    sleeper = Sleeper(0.5)

    async def run() -> None:
        rest = Rest(sleeper, 0.01, Workers())
        await asleep(rest)
        waiting = asyncio.create_task(use(rest))
        await asyncio.sleep(0.02)
        begun = time.monotonic()
        rest.stop()
        with pytest.raises(HTTPError, match="stopping"):
            await waiting
        assert time.monotonic() - begun < 0.3

    asyncio.run(run())


def test_workers_sleep_when_all_of_them_are_idle() -> None:
    shared = Workers.shared(2)
    first, second = Workers(2, shared, 0), Workers(2, shared, 1)
    time.sleep(0.05)
    assert first.idle_seconds >= 0.05
    second.note(asleep=False)
    assert first.idle_seconds < 0.05
    first.fall_asleep()
    assert not second.all_asleep
    second.fall_asleep()
    assert first.all_asleep
