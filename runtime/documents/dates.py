"""Dates as people write them, in front matter, names of files and headings: made ISO 8601.

What can be read in two ways, such as 03/05/2024, is no date.
"""

from __future__ import annotations

import datetime
import re

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier enero gennaio janeiro",
            "february feb februar février febrero febbraio fevereiro",
            "march mar märz mrz mars marzo março",
            "april apr avril abril aprile",
            "may mai mayo maggio maio",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug août agosto",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober okt octobre octubre ottobre outubro",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre diciembre dicembre dezembro",
        ),
        1,
    )
    for name in names.split()
}
"""Of the languages that the texts are most likely in."""
ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
"""The year before the first of each."""

_YEAR_FIRST = re.compile(
    r"(?<!\d)(?P<y>\d{4})(?P<s>[-/._])(?P<m>\d{1,2})(?:(?P=s)(?P<d>\d{1,2}))?(?!\d)"
)
_JAPANESE = re.compile(
    r"(?:(?P<y>\d{4})|(?P<era>" + "|".join(ERAS) + r")\s?(?P<n>\d{1,2}|元))"
    r"\s?年(?:\s?(?P<m>\d{1,2})\s?月(?:\s?(?P<d>\d{1,2})\s?日)?)?"
)
_DAY_FIRST = re.compile(r"(?<!\d)(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d)")
_DAY_MONTH = re.compile(
    r"(?<!\d)(?P<d>\d{1,2})(?:\.|st|nd|rd|th|er)?\s{1,3}(?:de\s)?(?P<name>[^\W\d_]{3,10})\.?,?"
    r"\s{1,3}(?:de\s)?(?P<y>\d{4})(?!\d)"
)
_MONTH_DAY = re.compile(
    r"(?P<name>[^\W\d_]{3,10})\.?\s{1,3}(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?,?\s{1,3})?(?P<y>\d{4})(?!\d)"
)
_DIGITS = re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)(?!\d)")
_YEAR = re.compile(r"(?P<y>(?:19|20)\d\d)")
_SPELLED = (_YEAR_FIRST, _JAPANESE, _DAY_FIRST, _DAY_MONTH, _MONTH_DAY, _DIGITS)
_IN_NAMES = (
    re.compile(
        r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<s>[-/._]?)(?P<m>0[1-9]|1[0-2])(?P=s)"
        r"(?P<d>0[1-9]|[12]\d|3[01])(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)[-/._](?P<m>\d{1,2})[-/._](?P<d>\d{1,2})(?!\d)"),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)[-/._](?P<m>0[1-9]|1[0-2])(?![\d])"),
    _JAPANESE,
)
LONGEST = 200
"""Characters that a date is looked for in."""


def iso_date(text: str) -> str:
    """Return the date that `text` begins with or has first, empty if there is none."""
    text = text.strip()[:LONGEST]
    found = [match for pattern in _SPELLED if (match := _first(pattern, text))]
    if found:
        return min(found, key=lambda place: (place[0], -len(place[1])))[1]
    return text if _YEAR.fullmatch(text) else ""


def date_of_name(path: str) -> str:
    """Return the date in a path, as in `2024-05-03.md` or `2024/05/03.md`; empty if none is."""
    for pattern in _IN_NAMES:
        dates = [date for match in pattern.finditer(path[-LONGEST:]) if (date := _date(match))]
        if dates:
            return dates[-1]
    return ""


def date_of_heading(text: str) -> str:
    """Return the full date that a heading begins with, as those of diaries do; empty if none."""
    if len(text) > LONGEST:
        return ""
    for pattern in _SPELLED:
        match = pattern.search(text)
        # A day of the week may come first: "Fri, 3 May 2024".
        if match and len(text[: match.start()].strip(" ,.()（）")) <= 10:
            date = _date(match)
            if len(date) == len("2024-05-03"):
                return date
    return ""


def _first(pattern: re.Pattern[str], text: str) -> tuple[int, str] | None:
    for match in pattern.finditer(text):
        if date := _date(match):
            return match.start(), date
    return None


def _date(match: re.Match[str]) -> str:
    """Return what a pattern has found, empty if the calendar has no such day."""
    part = match.groupdict()
    if part.get("era"):
        number = part["n"]
        year = ERAS[part["era"]] + (1 if number == "元" else int(number))
    else:
        year = int(part["y"])
    month: int | None
    if "name" in part:
        month = MONTHS.get(part["name"].lower())
        if not month:
            return ""
    else:
        month = int(part["m"]) if part.get("m") else None
    day = int(part["d"]) if part.get("d") else None
    try:
        date = datetime.date(year, 1 if month is None else month, 1 if day is None else day)
    except ValueError:
        return ""
    return date.isoformat()[: 10 if day else 7 if month else 4]
