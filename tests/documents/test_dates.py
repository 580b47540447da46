"""Dates in the many ways in which they are written, and what is none."""

from __future__ import annotations

import pytest

from runtime.documents.dates import date_of_heading, date_of_name, iso_date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-05-03", "2024-05-03"),
        ("2024-05-03T10:00:00+09:00", "2024-05-03"),
        ("2024/5/3", "2024-05-03"),
        ("2024.05.03", "2024-05-03"),
        ("20240503", "2024-05-03"),
        ("2024-05", "2024-05"),
        ("2024", "2024"),
        ("3.5.2024", "2024-05-03"),
        ("3. Mai 2024", "2024-05-03"),
        ("3. März 2024", "2024-03-03"),
        ("3 May 2024", "2024-05-03"),
        ("May 3, 2024", "2024-05-03"),
        ("Sept. 3rd, 2024", "2024-09-03"),
        ("3 de mayo de 2024", "2024-05-03"),
        ("1er août 2024", "2024-08-01"),
        ("2024年5月3日", "2024-05-03"),
        ("2024 年 5 月", "2024-05"),
        ("令和6年5月3日", "2024-05-03"),
        ("平成元年1月8日", "1989-01-08"),
        ("May 2024", "2024-05"),
        ("03/05/2024", ""),
        ("2024-13-01", ""),
        ("2023-02-29", ""),
        ("yesterday", ""),
        ("", ""),
        ("12345678901234", ""),
    ],
)
def test_a_date_is_made_iso_8601(text: str, date: str) -> None:
    assert date == iso_date(text)


@pytest.mark.parametrize(
    ("path", "date"),
    [
        ("2024-05-03.md", "2024-05-03"),
        ("diary/2024/05/03.md", "2024-05-03"),
        ("diary/2024/5/3.txt", "2024-05-03"),
        ("notes_20240503_final.txt", "2024-05-03"),
        ("2024_05_03 Kyoto.md", "2024-05-03"),
        ("2023-01-01/2024-05-03.md", "2024-05-03"),
        ("2024-05.md", "2024-05"),
        ("2024年5月3日.txt", "2024-05-03"),
        ("report 2024.pdf", ""),
        ("192.168.10.20.txt", ""),
        ("img20249999.txt", ""),
        ("1234567890.txt", ""),
    ],
)
def test_names_of_files_and_folders_are_dates(path: str, date: str) -> None:
    assert date == date_of_name(path)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-05-03", "2024-05-03"),
        ("2024-05-03 Kyoto in the rain", "2024-05-03"),
        ("5月3日", ""),
        ("2024年5月3日（金）", "2024-05-03"),
        ("Fri, 3 May 2024", "2024-05-03"),
        ("What happened on 3 May 2024", ""),
        ("May 2024", ""),
    ],
)
def test_headings_of_diaries_are_dates(text: str, date: str) -> None:
    assert date == date_of_heading(text)
