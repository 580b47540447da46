"""Pictures from the web: fetched by processes of their own, since the server reaches no network."""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping
from typing import Any

from runtime import bounds
from runtime.errors import Busy, MediaError
from runtime.host import fileio
from runtime.media import fetch
from runtime.options.registry import Options
from runtime.sandbox import restriction
from runtime.sandbox.outside import Outside, Reply
from runtime.sandbox.restriction import Policy

PROCESSES = 4
"""Pictures that are fetched at a time; they share the server's memory, and take 1 MB each."""
PATIENCE = 1.0
"""Seconds to wait for one of them: who waits longer would hold up requests without pictures."""


class WebPictures:
    """Fetches pictures by processes that can do nothing else; safe from any thread."""

    def __init__(self, *, sandbox: bool) -> None:
        """Fork, so this must come before any thread is started.

        With the `sandbox`, the processes look up names, connect to the ports of the web and read
        certificates, and can do nothing more.
        """
        self._idle: queue.SimpleQueue[Outside] = queue.SimpleQueue()
        for _ in range(PROCESSES):
            self._idle.put(Outside({"fetch": _Fetching(sandbox)}))

    def fetch(self, url: str) -> bytes:
        """Return what is at `url`; raise MediaError if it cannot be had, Busy if others take it."""
        if len(url) > bounds.FETCH_URL:
            raise MediaError(
                f"the URL has {len(url):,} characters, at most {bounds.FETCH_URL:,}",
                hint=fetch.INSTEAD,
            )
        try:
            process = self._idle.get(timeout=PATIENCE)
        except queue.Empty:
            raise Busy("other pictures are being fetched", hint="ask again later") from None
        try:
            fd = process.ask("fetch", url=url).fd
        finally:
            self._idle.put(process)
        if fd is None:
            raise MediaError("there is nothing at that address", hint=fetch.INSTEAD)
        with open(fd, "rb") as file:
            file.seek(0)
            return file.read(bounds.PICTURE + 1)


class _Fetching:
    """The service of such a process, which gives up all else before it reads the first address."""

    def __init__(self, sandbox: bool) -> None:
        self._open = sandbox

    def __call__(self, given: Mapping[str, Any], _: int | None) -> Reply:
        if self._open:
            self._open = False
            restriction.enter(Policy(ports=tuple(fetch.PORTS.values())))
        data = fetch.fetch(str(given["url"]))
        fd = os.memfd_create("picture", os.MFD_CLOEXEC)
        fileio.write_all(fd, memoryview(data))
        return Reply({}, fd)


def fetched(pictures: WebPictures | None, url: str) -> bytes:
    """Return what is at `url`; raise MediaError if nothing is fetched here, or it cannot be had."""
    if pictures is None:
        raise MediaError(
            "pictures are not fetched from the web here",
            hint=f"{fetch.INSTEAD}, or start the server with --allow-image-urls",
        )
    return pictures.fetch(url)


def web_pictures(options: Options) -> WebPictures | None:
    """Return what fetches pictures, None where that is not allowed."""
    return WebPictures(sandbox=options.sandbox) if options.allow_image_urls else None
