"""EPUB books: their chapters in the order in which they are read."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from urllib.parse import unquote

from runtime.documents.dates import date_of_name, iso_date
from runtime.documents.document import Block, Document, Unread, made
from runtime.documents.formats.archive import DAMAGED, Archive, parse_xml
from runtime.documents.formats.html_page import html_text, parsed
from runtime.errors import DocumentError

CONTAINER, ENCRYPTED = "META-INF/container.xml", "META-INF/encryption.xml"
ROOTFILE = "urn:oasis:names:tc:opendocument:xmlns:container rootfile"
REFERENCE = "http://www.w3.org/2001/04/xmlenc# CipherReference"
OPF, DC = "http://www.idpf.org/2007/opf ", "http://purl.org/dc/elements/1.1/ "
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")


def read_epub(data: bytes, path: str) -> Document:
    """Read a book: all that is to be read in turn, but for its table of contents."""
    archive = Archive(data)
    package = _package(archive)
    chapters = package.chapters()
    protected = _protected(archive)
    if chapters and protected.issuperset(chapters):
        raise DocumentError(
            "it is encrypted against copying (DRM)", hint="ask where it was bought for one without"
        )
    blocks: list[Block] = []
    unread: list[Unread] = []
    for chapter in chapters:
        try:
            if chapter in protected:
                raise DocumentError("it is encrypted")
            blocks.extend(parsed(html_text(archive.read(chapter))).blocks)
        except DocumentError as exc:
            unread.append(Unread(f"{path}#{chapter}", exc.problem, exc.hint))
    if unread and not blocks:
        raise DocumentError(unread[0].reason, hint=unread[0].hint)
    return made(
        path, "book", blocks, title=package.title, unread=unread,
        date=date_of_name(path) or iso_date(package.date),
    )  # fmt: skip


@dataclass
class _Package:
    """What the book's list of contents says."""

    path: str
    title: str = ""
    date: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Pages by their identities."""
    order: list[str] = field(default_factory=list)
    _here: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._here = name
        if name == f"{OPF}item" and attributes.get("media-type") in PAGES:
            if "nav" not in attributes.get("properties", "").split():
                self.files[attributes.get("id", "")] = attributes.get("href", "")
        elif name == f"{OPF}itemref":
            self.order.append(attributes.get("idref", ""))

    def end(self, _: str) -> None:
        self._here = ""

    def words(self, text: str) -> None:
        if self._here == f"{DC}title":
            self.title += text
        elif self._here == f"{DC}date":
            self.date += text

    def chapters(self) -> list[str]:
        """Return the names of the chapters in the archive."""
        folder = posixpath.dirname(self.path)
        names = (self.files[identity] for identity in self.order if identity in self.files)
        full = (posixpath.normpath(posixpath.join(folder, unquote(name))) for name in names)
        return list(dict.fromkeys(full))  # once each, however often they are listed


def _package(archive: Archive) -> _Package:
    paths: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == ROOTFILE:
            paths.append(attributes.get("full-path", ""))

    parse_xml(archive.read(CONTAINER), start)
    if not paths:
        raise DocumentError("it is damaged: it names no list of its contents", hint=DAMAGED)
    package = _Package(paths[0])
    parse_xml(archive.read(package.path), package.start, package.end, package.words)
    return package


def _protected(archive: Archive) -> set[str]:
    """Return the names of encrypted files: fonts are in most books, chapters in some."""
    if ENCRYPTED not in archive:
        return set()
    found: set[str] = set()

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == REFERENCE:
            found.add(unquote(attributes.get("URI", "")))

    parse_xml(archive.read(ENCRYPTED), start)
    return found
