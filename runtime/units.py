"""Formatting of numbers for people: byte sizes, counts with a noun, large amounts."""

from __future__ import annotations


def gigabytes(count: float) -> str:
    """Return a number of bytes in decimal units: GB, MB, kB or bytes."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    if count >= 1e3 or not count:
        return f"{count / 1e3:.0f} kB"
    return counted(int(count), "byte")


def part_of(some: int, whole: int) -> str:
    """Return "X of Y" for two numbers of bytes, exact where rounded units would look the same."""
    if gigabytes(some) != gigabytes(whole):
        return f"{gigabytes(some)} of {gigabytes(whole)}"
    return f"{some:,} of {whole:,} bytes"


def counted(count: int, noun: str) -> str:
    """Return `count` and the noun, with a plural s unless `count` is 1."""
    return f"{count} {noun}{'s' * (count != 1)}"


def amount(count: float) -> str:
    """Return a large number as people read it: "1.5 billion", "360.0 million", "12,345"."""
    for unit, size in (("billion", 1e9), ("million", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,.0f}"
