"""Archives of Debian, of sources and of programs: pinned, fetched once and proved.

Debian's mirrors have a file as long as a release contains it, snapshot.debian.org for ever, and
machines behind a wall often reach no other place than the mirror that their own apt is configured
with.

Uses nothing but the standard library, since the engine is built before anything is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundler.engine.toolchain import BuildFailed
from runtime.host import app_dirs

MIRRORS = ("https://deb.debian.org/debian", "https://deb.debian.org/debian-security")
SNAPSHOT = "https://snapshot.debian.org/archive/debian/20261128T000000Z"
TIMEOUT = 60  # seconds without a byte
CHUNK = 1 << 20
AR_MAGIC, AR_HEADER = b"!<arch>\n", 60
"""How a package begins, and the bytes before each of its members; see ar(5) and deb(5)."""


@dataclass(frozen=True)
class Archive:
    """A file that Debian's mirrors have."""

    name: str
    version: str
    pool: str
    """Its path below the folder that a mirror keeps all files in."""
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the last part of its path."""
        return self.pool.rpartition("/")[2]


def fetch(archive: Archive) -> Path:
    """Return the archive's path in the cache, fetched now unless it is there."""
    path = app_dirs.cache() / "sources" / f"{archive.sha256[:16]}-{archive.file_name}"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    problems = []
    try:
        for place in places():
            try:
                found = _download(f"{place}/{archive.pool}", staged)
            except OSError as exc:
                problems.append(f"{place}: {exc}")
                continue
            if found == archive.sha256:
                staged.rename(path)
                return path
            problems.append(f"{place}: SHA-256 {found}, expected {archive.sha256}")
    finally:
        staged.unlink(missing_ok=True)
    raise BuildFailed(
        f"{archive.name} {archive.version} cannot be had. Fetch {archive.file_name} "
        f"(SHA-256 {archive.sha256}) elsewhere, and put it at {path}\n  " + "\n  ".join(problems)
    )


def places() -> Iterator[str]:
    """Yield the addresses of folders that mirrors keep all files in."""
    for site in dict.fromkeys([*MIRRORS, *configured(), SNAPSHOT]):
        yield f"{site}/pool/updates" if site.endswith("-security") else f"{site}/pool"


def configured() -> list[str]:
    """Return the web addresses of the mirrors that this machine's apt is configured with."""
    if not shutil.which("apt-get"):
        return []
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sites = dict.fromkeys(line.strip().rstrip("/") for line in done.stdout.splitlines())
    return [site for site in sites if site.startswith(("https://", "http://"))]


def unpack(archive: Archive, folder: Path) -> Path:
    """Unpack an archive of sources into `folder`; return the folder with its contents."""
    target = folder / archive.name
    target.mkdir()
    extract(fetch(archive), target)
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def extract(path: Path, folder: Path) -> None:
    """Unpack a file of which the hash was checked."""
    with tarfile.open(path) as tar:
        if hasattr(tarfile, "data_filter"):  # not so in the earliest releases of Python 3.10
            tar.extractall(folder, filter="data")
        else:
            tar.extractall(folder)


def unpack_package(archive: Archive, folder: Path) -> None:
    """Unpack the files of a binary package into `folder`."""
    path = fetch(archive)
    for name, content in _members(path.read_bytes()):
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                for member in tar:  # `data` refuses the links of folders that are merged into /usr
                    with contextlib.suppress(tarfile.FilterError):
                        tar.extract(member, folder, filter="data")
            return
    raise BuildFailed(f"{path} is no package of Debian's: it has no files. Delete it and try again")


def _members(package: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of what is in an `ar` archive."""
    place = len(AR_MAGIC) if package.startswith(AR_MAGIC) else len(package)
    while place + AR_HEADER <= len(package):
        header = package[place : place + AR_HEADER]
        begin, size = place + AR_HEADER, int(header[48:58])
        yield header[:16].decode().strip().rstrip("/"), package[begin : begin + size]
        place = begin + size + size % 2


def _download(address: str, path: Path) -> str:
    """Write what lies at `address` to `path`; return its SHA-256, or raise OSError."""
    # Seldom needed, and slow to import: every `bundle` comes by here.
    import http.client
    import urllib.request

    digest = hashlib.sha256()
    try:
        answer = urllib.request.urlopen(address, timeout=TIMEOUT)
        with contextlib.closing(answer), open(path, "wb") as out:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                digest.update(chunk)
    except http.client.HTTPException as exc:
        raise OSError(f"{type(exc).__name__}: {exc}") from exc
    return digest.hexdigest()
