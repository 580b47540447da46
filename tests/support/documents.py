"""Documents in formats that are not text, made from nothing: PDF, Word, EPUB."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from urllib.parse import unquote
from xml.sax.saxutils import escape

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
    'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/'
    'dc/terms/"><dc:title>{title}</dc:title><dcterms:created>{date}</dcterms:created>'
    "</cp:coreProperties>"
)
STYLES = (
    f'<w:styles xmlns:w="{WORD}">'
    '<w:style w:styleId="H1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr>'
    '</w:style><w:style w:styleId="H2"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="H2"/></w:style>'
    '<w:style w:styleId="ListBullet"><w:name w:val="List Bullet"/><w:pPr><w:numPr>'
    '<w:numId w:val="3"/></w:numPr></w:pPr></w:style></w:styles>'
)
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """Return an archive of files, compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def docx(body: str, *, title: str = "", date: str = "", **more: str) -> bytes:
    """Return a Word document whose body is XML, with `w` as the prefix; `more` parts by name."""
    parts = {
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        "word/styles.xml": STYLES,
        "docProps/core.xml": CORE.format(title=escape(title), date=date),
        **{f"word/{name}.xml": xml for name, xml in more.items()},
    }
    return zipped(parts)


def paragraph(text: str, style: str = "", properties: str = "") -> str:
    """Return a paragraph of a Word document."""
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    return (
        f"<w:p><w:pPr>{styled}{properties}</w:pPr>"
        f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
    )


def epub(
    chapters: Mapping[str, str], *, title: str = "Book", date: str = "", **more: str | bytes
) -> bytes:
    """Return a book of chapters, which are the bodies of their pages."""
    items = "".join(
        f'<item id="i{at}" href="{name}" media-type="application/xhtml+xml"/>'
        for at, name in enumerate(chapters)
    )
    order = "".join(f'<itemref idref="i{at}"/>' for at in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>{escape(title)}</dc:title><dc:date>{date}</dc:date></metadata>"
        f"<manifest>{items}</manifest><spine>{order}</spine></package>"
    )
    pages = {
        f"OEBPS/{unquote(name)}": '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/'
        f'1999/xhtml"><head><title>x</title></head><body>{body}</body></html>'
        for name, body in chapters.items()
    }
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OEBPS/book.opf": package,
            **pages,
            **{name.replace("__", "/"): data for name, data in more.items()},
        }
    )


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    title: str = "",
    date: str = "",
    outline: Sequence[tuple[str, int]] = (),
    picture: bool = False,
    japanese: bool = False,
    encrypted: bool = False,
) -> bytes:
    """Return a PDF whose pages have lines of text; `outline` names headings and their pages.

    With `japanese` the font is one that every reader has to know, in its Shift_JIS encoding. With
    `picture` pages have one each, as if they were scanned.
    """
    count = len(pages)
    first = 10 + len(outline)
    font = (
        "<< /Type /Font /Subtype /Type0 /BaseFont /HeiseiMin-W3 /Encoding /90ms-RKSJ-H "
        "/DescendantFonts [<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HeiseiMin-W3 "
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) /Supplement 2 >> >>] >>"
        if japanese
        else "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    )
    kids = " ".join(f"{first + 2 * at} 0 R" for at in range(count))
    objects: dict[int, bytes] = {
        1: b"<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R >>",
        2: f"<< /Type /Pages /Count {count} /Kids [{kids}] >>".encode(),
        3: font.encode(),
        4: f"<< /Title ({title}) /CreationDate ({date}) >>".encode(),
        5: f"<< /Type /Outlines /First 10 0 R /Last {9 + len(outline)} 0 R >>".encode()
        if outline
        else b"<< /Type /Outlines >>",
        6: _stream(b"\xff\x00\x00", "/Type /XObject /Subtype /Image /Width 1 /Height 1 "
                   "/ColorSpace /DeviceRGB /BitsPerComponent 8"),
        7: b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"11" * 32 + b"> /U <" + b"22" * 32
           + b"> >>",
    }  # fmt: skip
    for at, (text, page) in enumerate(outline):
        following = f"/Next {11 + at} 0 R" if at + 1 < len(outline) else ""
        objects[10 + at] = (
            f"<< /Title ({text}) /Parent 5 0 R {following} "
            f"/Dest [{first + 2 * (page - 1)} 0 R /Fit] >>"
        ).encode()
    for at, lines in enumerate(pages):
        shown = b"".join(
            b"BT /F1 12 Tf 72 %d Td <%s> Tj ET\n" % (
                720 - 16 * row, line.encode("cp932" if japanese else "cp1252").hex().encode()
            )
            for row, line in enumerate(lines)
        )  # fmt: skip
        drawn = b"q 100 0 0 100 72 72 cm /Im1 Do Q\n" if picture else b""
        objects[first + 2 * at] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first + 2 * at + 1} "
            "0 R /Resources << /Font << /F1 3 0 R >> /XObject << /Im1 6 0 R >> >> >>"
        ).encode()
        objects[first + 2 * at + 1] = _stream(shown + drawn, "")
    return _written(objects, "/Encrypt 7 0 R /ID [<00> <00>]" if encrypted else "")


def _stream(data: bytes, entries: str) -> bytes:
    return f"<< /Length {len(data)} {entries} >>\nstream\n".encode() + data + b"\nendstream"


def _written(objects: Mapping[int, bytes], trailer: str) -> bytes:
    data, places = bytearray(b"%PDF-1.7\n"), {}
    for number, text in sorted(objects.items()):
        places[number] = len(data)
        data += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table, last = len(data), max(objects)
    data += b"xref\n0 %d\n" % (last + 1)
    for number in range(last + 1):
        data += (
            b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 65535 f \n"
        )
    data += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        last + 1, trailer.encode(), table,
    )  # fmt: skip
    return bytes(data)
