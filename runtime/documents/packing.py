"""Packing: units of a section put together until a piece is full."""

from __future__ import annotations

from runtime.documents.chunking import Chunking
from runtime.documents.units import Unit

Place = tuple[int, int, int]
"""Of a piece: the unit that it begins with, the first that it does not repeat, the one behind."""


def packed(units: list[Unit], chunking: Chunking) -> list[Place]:
    """Return the units of each piece, in their order."""
    places: list[Place] = []
    ends = _ends_of_blocks(units)
    first = 0
    while first < len(units):
        lead = _lead(units, first, places[-1][1] if places else first, chunking)
        stop = first + 1
        while stop < len(units) and size(units, lead, stop + 1) <= chunking.max_chars:
            full = size(units, lead, stop) >= chunking.max_chars // 2
            begins_block = units[stop].block != units[stop - 1].block
            if full and begins_block and size(units, lead, ends[stop]) > chunking.max_chars:
                break  # what would have to be cut begins a piece of its own
            stop += 1
        places.append((lead, first, stop))
        first = stop
    return _without_small(units, places, chunking)


def size(units: list[Unit], begin: int, stop: int) -> int:
    """Return how many characters a piece of these units has."""
    head = units[begin].head
    return units[stop - 1].end - units[begin].begin + (len(head) + 1 if head else 0)


def _ends_of_blocks(units: list[Unit]) -> list[int]:
    """Return for each unit the index behind the last one of its block."""
    ends = [0] * len(units)
    end = len(units)
    for index in range(len(units) - 1, -1, -1):
        if index + 1 < len(units) and units[index + 1].block != units[index].block:
            end = index + 1
        ends[index] = end
    return ends


def _lead(units: list[Unit], first: int, lowest: int, chunking: Chunking) -> int:
    """Return the unit from which on a piece repeats what stands before its first one."""
    lead = first
    while (
        lead > lowest
        and not units[first].head
        and units[lead - 1].whole
        and units[first - 1].end - units[lead - 1].begin <= chunking.overlap
        and size(units, lead - 1, first + 1) <= chunking.max_chars
    ):
        lead -= 1
    return lead


def _without_small(units: list[Unit], places: list[Place], chunking: Chunking) -> list[Place]:
    """Return the places with small pieces joined to their neighbours, where there is room.

    Where there is none, the one before gives some of what it has.
    """
    done: list[Place] = []
    waiting = places[::-1]
    while waiting:
        lead, first, stop = waiting.pop()
        if size(units, first, stop) >= chunking.min_chars:
            done.append((lead, first, stop))
            continue
        if done and size(units, done[-1][0], stop) <= chunking.max_chars:
            done[-1] = (*done[-1][:2], stop)
        elif waiting and size(units, lead, waiting[-1][2]) <= chunking.max_chars:
            waiting[-1] = (lead, first, waiting[-1][2])
        elif done and (given := _given(units, done[-1], stop, chunking)) is not None:
            before = done.pop()
            done.append((*before[:2], given))
            done.append((_lead(units, given, before[1], chunking), given, stop))
            if size(units, done[-1][0], stop) > chunking.max_chars:
                done[-1] = (given, given, stop)
        else:
            done.append((lead, first, stop))
    return done


def _given(units: list[Unit], before: Place, stop: int, chunking: Chunking) -> int | None:
    """Return the unit from which on the piece before is given to a small one after it."""
    for given in range(before[2] - 1, before[1], -1):
        if size(units, given, stop) > chunking.max_chars:
            return None
        if size(units, given, stop) >= chunking.min_chars:
            return given if size(units, before[1], given) >= chunking.min_chars else None
    return None
