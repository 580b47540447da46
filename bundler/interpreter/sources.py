"""Sources of the interpreter and its libraries: pinned archives, fetched once and proved.

All are what Debian compiles its packages from. Debian's mirrors have an archive as long as a
release contains it, snapshot.debian.org for ever, and machines behind a wall often reach no other
place than the mirror that their own apt is configured with.
"""

from __future__ import annotations

import contextlib
import hashlib
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


@dataclass(frozen=True)
class Source:
    """An archive of sources."""

    name: str
    version: str
    pool: str
    """Its path below the folder that a mirror keeps all files in."""
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the last part of its path."""
        return self.pool.rpartition("/")[2]


# 3.13 starts as fast as 3.11 did, and Debian 13 contains this archive until 2030; the newer ones
# of Debian's development release are gone from its mirrors within weeks.
PYTHON = Source(
    "CPython",
    "3.13.5",
    "main/p/python3.13/python3.13_3.13.5.orig.tar.xz",
    "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
)
OPENSSL = Source(  # supported by its makers until 2030
    "OpenSSL",
    "3.5.7",
    "main/o/openssl/openssl_3.5.7.orig.tar.gz",
    "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
)
LIBFFI = Source(  # Debian's later archives lack `configure`: autoconf would be needed
    "libffi",
    "3.4.4",
    "main/libf/libffi/libffi_3.4.4.orig.tar.gz",
    "d66c56ad259a82cf2a9dfc408b32bf5da52371500b84745f7fb8b645712df676",
)
ZLIB = Source(
    "zlib",
    "1.3.1",
    "main/z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
    "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
)


def fetch(source: Source) -> Path:
    """Return the archive's path in the cache, fetched now unless it is there."""
    path = app_dirs.cache() / "sources" / f"{source.sha256[:16]}-{source.file_name}"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    problems = []
    try:
        for place in places():
            try:
                found = _download(f"{place}/{source.pool}", staged)
            except OSError as exc:
                problems.append(f"{place}: {exc}")
                continue
            if found == source.sha256:
                staged.rename(path)
                return path
            problems.append(f"{place}: SHA-256 {found}, expected {source.sha256}")
    finally:
        staged.unlink(missing_ok=True)
    raise BuildFailed(
        f"the sources of {source.name} {source.version} cannot be had. Fetch {source.file_name} "
        f"(SHA-256 {source.sha256}) elsewhere, and put it at {path}\n  " + "\n  ".join(problems)
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


def unpack(source: Source, folder: Path) -> Path:
    """Unpack an archive into `folder`; return the folder with its contents."""
    archive = fetch(source)
    target = folder / source.name
    target.mkdir()
    extract(archive, target)
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def extract(archive: Path, folder: Path) -> None:
    """Unpack a file of which the hash was checked."""
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):  # not so in the earliest releases of Python 3.10
            tar.extractall(folder, filter="data")
        else:
            tar.extractall(folder)


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
