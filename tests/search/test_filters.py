"""Filters in a question: what they are, and what they let through."""

from __future__ import annotations

import pytest

from runtime import bounds
from runtime.errors import UsageError
from runtime.search.filters import Filters, parse


@pytest.mark.parametrize(
    ("text", "rest", "filters"),
    [
        ("rain", "rain", Filters()),
        ("two  spaces", "two  spaces", Filters()),
        ("rain kind:diary", "rain", Filters(kinds=("diary",))),
        ("kind:a kind:b rain", "rain", Filters(kinds=("a", "b"))),
        ('path:"my notes/a" rain', "rain", Filters(paths=("my notes/a",))),
        ("after:2024-05 before:2025 rain", "rain", Filters(after="2024-05", before="2025")),
        ("after:2024 after:2024-02-03", "", Filters(after="2024-02-03")),
        ("before:2024 before:2024-02", "", Filters(before="2024")),
        ("mankind:diary", "mankind:diary", Filters()),
        ("kind: diary", "kind: diary", Filters()),
    ],
)
def test_filters_are_taken_out_of_a_question(text: str, rest: str, filters: Filters) -> None:
    assert (rest, filters) == parse(text)


@pytest.mark.parametrize("date", ["yesterday", "24", "2024-", "2024-05-03T12", "05/2024"])
def test_what_is_no_date_is_refused(date: str) -> None:
    with pytest.raises(UsageError, match=f"after:{date} has no date"):
        parse(f"rain after:{date}")


def test_too_many_filters_are_refused() -> None:
    most = bounds.QUESTION_FILTERS
    parse("path:a " * most)

    with pytest.raises(UsageError, match=f"has {most + 1} filters 'path:', at most {most}"):
        parse("path:a " * (most + 1))


@pytest.mark.parametrize(
    ("pattern", "path", "takes"),
    [
        ("notes/*", "notes/a.txt", True),
        ("notes/*", "old/notes/a.txt", False),
        ("*.md", "a/B.MD", True),
        ("notes", "my/Notes/a.txt", True),
        ("a.txt", "notes/a.txt", True),
        ("?.txt", "a.txt", True),
        ("ä", "Ä.txt", True),
        ("b", "notes/c.txt", False),
    ],
)
def test_a_path_fits_a_pattern_or_has_a_part(pattern: str, path: str, takes: bool) -> None:
    assert takes == Filters(paths=(pattern,)).takes_path(path)


@pytest.mark.parametrize(
    ("filters", "date", "takes"),
    [
        (Filters(after="2024-05"), "2024-05-01", True),
        (Filters(after="2024-05"), "2024-04-30", False),
        (Filters(after="2024-05"), "2024", True),  # some of the year is
        (Filters(after="2024-05-03"), "2024-05-03", True),
        (Filters(after="2024"), "2023-12-31", False),
        (Filters(before="2024-05"), "2024-04-30", True),
        (Filters(before="2024-05"), "2024-05-01", False),
        (Filters(before="2024-05"), "2024", True),
        (Filters(before="2024"), "2024", False),
        (Filters(after="2024-05", before="2024-06"), "2024-05-31", True),
        (Filters(after="2024-05"), "", False),
        (Filters(), "", True),
        (Filters(after="2024-5-3"), "2024-05-10", True),
    ],
)
def test_a_date_is_compared_by_days(filters: Filters, date: str, takes: bool) -> None:
    assert takes == filters.takes_date(date)


def test_hostile_patterns_end() -> None:
    assert not Filters(paths=("*a" * 200 + "b",)).takes_path("a" * 2000)
