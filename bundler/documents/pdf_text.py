"""The text of a PDF: a program of its own, for a hostile file may crash the library or never end.

The PDF comes on standard input; its pages, outline and metadata go to standard output as JSON.
Arguments: seconds of processor time, bytes of memory, characters of text.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

OUTLINE = 10_000
"""Headings that are taken from it."""
PASSWORD = pdfium_c.FPDF_ERR_PASSWORD


def extract(data: bytes, most: int) -> dict[str, Any]:
    """Return what a PDF has, or why it could not be read, under `error`."""
    try:
        pdf = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as exc:
        return {"error": "password" if exc.err_code == PASSWORD else "damaged"}
    found = pdf.get_metadata_dict()
    pages: list[str] = []
    without: list[int] = []
    length = 0
    for number in range(len(pdf)):
        try:
            page = pdf[number]
            text = page.get_textpage().get_text_bounded(errors="replace")
            if not text.strip() and _has_picture(page):
                without.append(number + 1)
            page.close()
        except pdfium.PdfiumError:
            text = ""
            without.append(number + 1)
        pages.append(text)
        length += len(text)
        if length > most:
            return {"error": "long"}
    return {
        "pages": pages, "without": without, "outline": _outline(pdf),
        "title": found.get("Title", ""), "date": found.get("CreationDate", ""),
    }  # fmt: skip


def _has_picture(page: pdfium.PdfPage) -> bool:
    kinds = [pdfium_c.FPDF_PAGEOBJ_IMAGE]
    return next(iter(page.get_objects(filter=kinds, max_depth=3)), None) is not None


def _outline(pdf: pdfium.PdfDocument) -> list[tuple[int, str, int]]:
    """Return the headings: level from 1, text, number of the page."""
    found: list[tuple[int, str, int]] = []
    for mark in pdf.get_toc():
        place = mark.get_dest()
        index = place.get_index() if place else None
        if index is not None and index >= 0:
            found.append((mark.level + 1, mark.get_title(), index + 1))
        if len(found) == OUTLINE:
            break
    return found


def main() -> None:
    """Read standard input and write standard output, within limits."""
    seconds, memory, most = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump(extract(sys.stdin.buffer.read(), most), sys.stdout)


if __name__ == "__main__":
    main()
