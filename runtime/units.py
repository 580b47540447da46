"""Numbers for people."""

from __future__ import annotations


def gigabytes(count: float) -> str:
    """Return a number of bytes in decimal units, as disks and downloads are sold."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    if count >= 1e3 or not count:
        return f"{count / 1e3:.0f} kB"
    return counted(int(count), "byte")


def part_of(some: int, whole: int) -> str:
    """Return how much of a number of bytes there is; to the byte where rounding would hide it."""
    if gigabytes(some) != gigabytes(whole):
        return f"{gigabytes(some)} of {gigabytes(whole)}"
    return f"{some:,} of {whole:,} bytes"


def counted(count: int, noun: str) -> str:
    """Return `count` and the noun, in the plural where it takes one."""
    return f"{count} {noun}{'s' * (count != 1)}"


def amount(count: float) -> str:
    """Return a large number in words, as models' sizes are given."""
    for unit, size in (("billion", 1e9), ("million", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,.0f}"
