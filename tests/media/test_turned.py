"""Photographs are turned upright, whichever way the camera was held."""

from __future__ import annotations

import pytest

from runtime.media.turned import turned

# Of a picture of 3 × 2 pixels, a to c above d to f, what is seen upright (EXIF 2.32, 4.6.5).
UPRIGHT = {
    0: "abc def", 1: "abc def", 2: "cba fed", 3: "fed cba", 4: "def abc",
    5: "ad be cf", 6: "da eb fc", 7: "fc eb da", 8: "cf be ad", 9: "abc def",
}  # fmt: skip


def pixels(rows: str) -> bytes:
    return "".join(f"{letter}{letter.upper()}." for letter in rows.replace(" ", "")).encode()


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_each_of_the_eight_is_upright_afterwards(orientation: int) -> None:
    rows = UPRIGHT[orientation]
    width, height = len(rows.split()[0]), len(rows.split())

    assert (pixels(rows), width, height) == turned(pixels("abcdef"), 3, 2, orientation)
