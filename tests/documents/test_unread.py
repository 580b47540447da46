"""What could not be read is told, each with its reason, and never too long."""

from runtime.documents.document import Unread
from runtime.documents.unread import LISTED, lines


def test_each_is_told_with_its_reason() -> None:
    unread = [Unread("a.png", "no", "do"), Unread("b.png", "no", "do"), Unread("c.pdf", "it is")]

    assert [
        "not read: a.png: no (do)",
        "not read: b.png: no",
        "not read: c.pdf: it is",
    ] == list(lines(unread))


def test_many_alike_are_counted() -> None:
    unread = [Unread(f"{number}.png", "no") for number in range(LISTED + 1002)]
    told = list(lines(unread))

    assert LISTED + 1 == len(told)
    assert "not read: 1,002 more: no" == told[-1]
