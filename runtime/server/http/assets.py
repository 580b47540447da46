"""Static files of the page: read once, compressed once, kept in memory."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
START = "index.html"
WORTH = 0.9  # compressed only where that saves a tenth


@dataclass(frozen=True)
class Asset:
    """One static file."""

    data: bytes
    packed: bytes | None
    """The same by gzip, where that is worth it."""
    type: str
    tag: str
    """What tells this content from another, for If-None-Match."""


def read(folder: Path) -> dict[str, Asset]:
    """Return the files in `folder`, keyed by relative path with slashes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = _asset(path)
    return found


def _asset(path: Path) -> Asset:
    data = path.read_bytes()
    packed = gzip.compress(data, 9, mtime=0)
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return Asset(
        data,
        packed if len(packed) < WORTH * len(data) else None,
        kind or "application/octet-stream",
        f'"{hashlib.sha256(data).hexdigest()[:20]}"',
    )
