"""Archives: found wherever a mirror has them, and taken only with the right hash."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bundler.engine import archives
from bundler.engine.archives import Archive
from bundler.engine.toolchain import BuildFailed

CONTENT = b"sources" * 1000
POOL = "main/p/package/package_1.orig.tar.gz"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a mirror that has the package."""
    path = tmp_path / "mirror" / "pool" / POOL
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(Quiet, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def archive(content: bytes = CONTENT) -> Archive:
    return Archive("package", "1", POOL, hashlib.sha256(content).hexdigest())


def test_second_place_is_asked_where_the_first_lacks_it(
    mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "places", lambda: iter([f"{mirror}/none", f"{mirror}/pool"]))

    assert CONTENT == archives.fetch(archive()).read_bytes()


def test_what_was_fetched_is_not_fetched_again(
    mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "places", lambda: iter([f"{mirror}/pool"]))
    path = archives.fetch(archive())
    monkeypatch.setattr(archives, "places", lambda: iter(()))

    assert path == archives.fetch(archive())


def test_another_file_under_that_name_is_refused(
    mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "places", lambda: iter([f"{mirror}/pool"]))

    with pytest.raises(BuildFailed, match=hashlib.sha256(CONTENT).hexdigest()) as failure:
        archives.fetch(archive(b"what was expected"))

    assert "put it at" in str(failure.value)


def test_mirrors_of_this_machine_are_asked_between_the_usual_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        archives, "configured", lambda: ["http://mirror.test/d", "http://mirror.test/d-security"]
    )

    found = list(archives.places())

    assert f"{archives.MIRRORS[0]}/pool" == found[0]
    assert "http://mirror.test/d/pool" in found
    assert "http://mirror.test/d-security/pool/updates" in found
    assert f"{archives.SNAPSHOT}/pool" == found[-1]
