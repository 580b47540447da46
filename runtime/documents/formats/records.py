"""Tables and records: rows of .csv and lines of .jsonl, each so that it is understood alone."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from runtime.documents.dates import date_of_name, iso_date
from runtime.documents.document import Block, Document, Unread, made
from runtime.documents.text_encoding import decoded
from runtime.documents.time_limit import check_time
from runtime.errors import DocumentError
from runtime.units import counted

DELIMITERS = ",;\t|"
SAMPLE_LINES = 20
"""Of a table, to find out what stands between its columns."""
DATE_COLUMNS = {"date", "day", "datum", "日付", "日時", "日", "年月日", "fecha", "data"}
TEXTS, TITLES, DATES = ("text", "content", "body"), ("title", "subject"), ("date", "created")
KEEPING = ("kind", "type")
LEVELS = 20
"""Of a record that strings are collected from."""
_NUMBER = re.compile(r"[-+]?[\d.,:/ %€$¥-]*\d[\d.,:/ %€$¥-]*")


def read_csv(data: bytes, path: str) -> Document:
    """Read a table: a block a row, with lines of `column: value`."""
    text = decoded(data)
    rows = _rows(text, "\t" if path.lower().endswith(".tsv") else "")
    return made(path, "table", _row_blocks(rows), date=date_of_name(path))


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    delimiter = delimiter or _delimiter(text)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            values = [" ".join(value.split()) for value in row]
            if any(values):
                yield values
    except csv.Error as exc:
        raise DocumentError(
            f"it cannot be taken apart as a table: {exc}", hint="save it anew, or name it .txt"
        ) from exc


def _delimiter(text: str) -> str:
    """Return what stands between columns: what occurs equally often in all lines."""
    lines = [line for line in io.StringIO(text[:100_000], newline=None) if line.strip()][
        :SAMPLE_LINES
    ]

    def worth(delimiter: str) -> tuple[int, int]:
        counts = [
            len(row) - 1
            for line in lines
            for row in csv.reader([line[:10_000]], delimiter=delimiter)
        ]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) if usual else 0), usual

    return max(DELIMITERS, key=worth)


def _row_blocks(rows: Iterator[list[str]]) -> Iterator[Block]:
    names = next(rows, [])
    if not _are_names(names):
        yield Block("table", "\n".join(filter(None, names)))
        names = []
    dated = next((at for at, name in enumerate(names) if name.lower() in DATE_COLUMNS), -1)
    for row in rows:
        lines = [
            f"{names[at]}: {value}" if at < len(names) and names[at] else value
            for at, value in enumerate(row)
            if value
        ]
        date = iso_date(row[dated]) if 0 <= dated < len(row) else ""
        yield Block("table", "\n".join(lines), head=int(len(lines) > 1), date=date)


def _are_names(row: list[str]) -> bool:
    """Return whether the first row names the columns."""
    named = [value for value in row if value]
    return (
        len(named) >= max(1, len(row) - 1)  # the first column is often without a name
        and len(set(named)) == len(named)
        and not any(_NUMBER.fullmatch(value[:100]) for value in named)
    )


def read_jsonl(data: bytes, path: str) -> Document:
    """Read a record a line: its title, date, kind and text, or all its strings."""
    wrong: list[int] = []
    lines = io.StringIO(decoded(data))
    stem = os.path.splitext(os.path.basename(path))[0]
    return made(
        path, "records", _records(lines, wrong), title=stem, date=date_of_name(path),
        unread=_wrong_lines(path, wrong),
    )  # fmt: skip


def _records(lines: io.StringIO, wrong: list[int]) -> Iterator[Block]:
    """Yield the blocks of all records; note in `wrong` which lines are none."""
    some = False
    for number, line in enumerate(lines, 1):
        check_time()
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            wrong.append(number)
            continue
        some = True
        for block in _record_blocks(record):
            yield replace(block, record=number)
    if wrong and not some:
        raise DocumentError("none of its lines is JSON", hint="a record a line is expected")


def _wrong_lines(path: str, wrong: list[int]) -> Iterator[Unread]:
    """Yield what to say of the lines in `wrong`, which is asked once they are known."""
    if wrong:
        yield Unread(
            f"{path}#line {wrong[0]}",
            f"{counted(len(wrong), 'line')} cannot be read as JSON, this one first",
            "a record a line is expected",
            len(wrong),
        )


def _record_blocks(record: Any) -> Iterator[Block]:
    if not isinstance(record, dict):
        yield Block("paragraph", "\n".join(_strings(record, "", 0)))
        return
    named = {key: _first(record, keys) for key, keys in _FIELDS.items()}
    date, filed = iso_date(named["date"]), named["kind"]
    text = named["text"]
    if not text:
        used = {value for key, value in named.items() if key != "date" or date}
        rest = {key: value for key, value in record.items() if value not in list(used)}
        text = "\n".join(_strings(rest, "", 0))
    yield Block("heading", named["title"], 1, date=date, filed=filed)
    for part in text.split("\n\n"):
        yield Block("paragraph", part, date=date, filed=filed)


_FIELDS = {"text": TEXTS, "title": TITLES, "date": DATES, "kind": KEEPING}


def _first(record: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        if isinstance(value := record.get(key), str) and value.strip():
            return value.strip()
    return ""


def _strings(value: Any, name: str, level: int) -> Iterator[str]:
    """Yield the strings and numbers of a record as lines of `key: value`."""
    if level > LEVELS or value is None or isinstance(value, bool):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, f"{name} {key}".strip(), level + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, name, level + 1)
    elif str(value).strip():
        yield f"{name}: {value}" if name else str(value)
