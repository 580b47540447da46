"""A document that is a ZIP archive, and the XML in it: both from strangers, read in bounds."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from xml.parsers import expat

from runtime import bounds
from runtime.documents.time_limit import check_time
from runtime.errors import DocumentError
from runtime.units import gigabytes

STEP = 1 << 16
DAMAGED = "copy it again, or save it anew"
USUAL = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What the formats allow."""
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError,
    ValueError, OverflowError,
)  # fmt: skip
"""What zipfile raises where an archive is damaged."""
Start = Callable[[str, dict[str, str]], None]
ENTRY = b"PK\x01\x02"
"""What each file begins with in an archive's list of them."""


class Archive:
    """The files of an archive, which together unpack to no more than a bound."""

    def __init__(self, data: bytes) -> None:
        if data.count(ENTRY) > bounds.ARCHIVE_FILES:  # before each of them takes memory
            raise DocumentError(
                f"it claims to contain more than {bounds.ARCHIVE_FILES:,} files", hint=DAMAGED
            )
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._names = set(self._zip.namelist())
        except BROKEN as exc:
            raise DocumentError(f"it is damaged: {exc}", hint=DAMAGED) from exc
        self._left = bounds.UNPACKED

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str) -> bytes:
        """Return a file of the archive; raise DocumentError if it cannot be unpacked."""
        parts: list[bytes] = []
        try:
            if self._zip.getinfo(name).compress_type not in USUAL:
                raise DocumentError("it is compressed in an unusual way", hint="save it anew")
            with self._zip.open(name) as file:
                while part := file.read(STEP):
                    self._left -= len(part)
                    if self._left < 0:
                        raise DocumentError(
                            f"it unpacks to more than {gigabytes(bounds.UNPACKED)}",
                            hint="split it into several files",
                        )
                    parts.append(part)
                    check_time()
        except KeyError as exc:
            raise DocumentError(f"it is damaged: it has no {name}", hint=DAMAGED) from exc
        except BROKEN as exc:  # before RuntimeError, of which one is a kind
            raise DocumentError(f"it is damaged: {name}: {exc}", hint=DAMAGED) from exc
        except RuntimeError as exc:  # zipfile's for what is encrypted
            raise DocumentError("it is encrypted", hint="save it without a password") from exc
        return b"".join(parts)


def parse_xml(
    data: bytes,
    start: Start,
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Call `start`, `end` and `text` for what is in XML; names are `namespace name`.

    Documents have no declarations of their own, with which a few bytes could become gigabytes.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = _refuse
    try:
        for begin in range(0, len(data), STEP):
            parser.Parse(data[begin : begin + STEP], False)
            check_time()
        parser.Parse(b"", True)
    except expat.ExpatError as exc:
        raise DocumentError(f"it is damaged: {exc}", hint=DAMAGED) from exc
    except (ValueError, LookupError) as exc:  # an encoding that Python does not know
        raise DocumentError(f"it is damaged: {exc}", hint=DAMAGED) from exc


def _refuse(*_: object) -> None:
    raise DocumentError("it declares entities, as no document does", hint="save it anew")
