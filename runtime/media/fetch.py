"""Fetching a picture from the web, for a stranger who names it: in bounds, and from there alone.

A client that names an address here could make this machine ask its neighbours in its own name. So
each name is looked up once, all that it stands for must be public, and the address that was looked
at is the one that is connected to; the same at each redirection. Proxies are not used: what they
connect to cannot be looked at.

To be called by the main thread of a process that does nothing else: a timer ends it.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from runtime import bounds
from runtime.errors import MediaError
from runtime.media import tls
from runtime.media.addresses import is_public
from runtime.units import gigabytes

if TYPE_CHECKING:  # most servers fetch nothing
    from http.client import HTTPConnection, HTTPResponse

PORTS: Mapping[str, int] = {"http": 80, "https": 443}
"""All that is connected to: other ports are rarely those of pictures, often those of services."""
MOVED = (301, 302, 303, 307, 308)
STEP = 1 << 16
SENT = {"User-Agent": "modelembed", "Accept": "image/*", "Accept-Encoding": "identity"}
INSTEAD = "send it as a data URL"


def fetch(
    url: str,
    *,
    allowed: Callable[[str], bool] = is_public,
    ports: Mapping[str, int] = PORTS,
) -> bytes:
    """Return what is at `url`; raise MediaError if it may not or cannot be fetched.

    `allowed` says which addresses may be connected to, `ports` which port each scheme has.
    """
    with _limited():
        try:
            for _ in range(bounds.FETCH_REDIRECTS + 1):
                found = _ask(url, allowed, ports)
                if isinstance(found, bytes):
                    return found
                url = _followed(url, found)
        except (OSError, ValueError) as exc:  # ValueError: a name or a header that is none
            raise _failed(url, exc) from exc
    raise MediaError(f"the picture is moved more than {bounds.FETCH_REDIRECTS} times", hint=INSTEAD)


def _ask(url: str, allowed: Callable[[str], bool], ports: Mapping[str, int]) -> bytes | str:
    """Return what is at `url`, or where it says that it is."""
    from http.client import HTTPException

    parts = _parts(url, ports)
    host, port = str(parts.hostname), ports[parts.scheme]
    addresses = _looked_up(host, port, allowed)
    connection = _connected(parts.scheme, host, port, addresses)
    try:
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("GET", target, headers=SENT)
        with connection.getresponse() as response:
            if response.status in MOVED and (location := response.headers.get("Location")):
                return str(location)
            if response.status != 200:
                raise MediaError(f"{host} answers with status {response.status}", hint=INSTEAD)
            return _body(response, host)
    except HTTPException as exc:
        raise MediaError(
            f"what {host} answers is not HTTP: {type(exc).__name__}", hint=INSTEAD
        ) from exc
    finally:
        connection.close()


def _parts(url: str, ports: Mapping[str, int]) -> SplitResult:
    """Return the parts of a URL; raise MediaError if it is none that is fetched."""
    if len(url) > bounds.FETCH_URL:
        raise MediaError(
            f"the URL has {len(url):,} characters, at most {bounds.FETCH_URL:,}", hint=INSTEAD
        )
    if not url.isascii() or any(ord(letter) <= 32 or letter == "\x7f" for letter in url):
        raise MediaError("the URL has characters that none has", hint="write them as %XX")
    parts = urlsplit(url)
    if parts.scheme not in ports or not parts.hostname:
        raise MediaError(
            f"'{url[:40]}' is no address of a picture", hint="take one with http:// or https://"
        )
    if parts.username is not None or parts.password is not None:
        raise MediaError("the URL has a user's name in it", hint="leave it out")
    if (parts.port or ports[parts.scheme]) != ports[parts.scheme]:
        raise MediaError(
            f"port {parts.port} is not asked for pictures",
            hint=f"{parts.scheme} has port {ports[parts.scheme]}",
        )
    return parts


def _looked_up(host: str, port: int, allowed: Callable[[str], bool]) -> Sequence[str]:
    """Return the addresses of a host; raise MediaError if one of them may not be connected to."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses or not all(map(allowed, addresses)):
        # Not which: what names stand for in the network here is no business of a client's.
        raise MediaError(f"{host} is not on the public internet", hint=INSTEAD)
    return addresses


def _connected(scheme: str, host: str, port: int, addresses: Sequence[str]) -> HTTPConnection:
    """Return a connection to the first of `addresses` that accepts one."""
    from http.client import HTTPConnection

    problem: OSError | None = None
    for address in addresses:
        try:
            raw = socket.create_connection((address, port), timeout=bounds.FETCH_SECONDS)
        except TimeoutError:
            raise
        except OSError as exc:
            problem = exc
            continue
        connection = HTTPConnection(host, port)
        connection.sock = tls.secured(raw, host) if scheme == "https" else raw
        return connection
    raise problem or OSError("it has no address")


def _body(response: HTTPResponse, host: str) -> bytes:
    """Return the body; raise MediaError if it is cut, or larger than a picture may be."""
    claimed = response.length or 0
    parts: list[bytes] = []
    size = 0
    while max(size, claimed) <= bounds.PICTURE and (part := response.read(STEP)):
        parts.append(part)
        size += len(part)
    if max(size, claimed) > bounds.PICTURE:
        raise MediaError(
            f"the picture has more than {gigabytes(bounds.PICTURE)}", hint="make it smaller"
        )
    if size < claimed:
        raise MediaError(f"{host} sends {size:,} of {claimed:,} bytes", hint=INSTEAD)
    return b"".join(parts)


def _followed(url: str, location: str) -> str:
    """Return the URL that `url` is moved to."""
    moved = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(moved).scheme == "http":
        raise MediaError("the picture is moved from https to http", hint=INSTEAD)
    return moved


def _failed(url: str, exc: OSError | ValueError) -> MediaError:
    """Return the error for what went wrong, which has no more of the URL than its host."""
    host = ""
    with contextlib.suppress(ValueError):
        host = urlsplit(url).hostname or ""
    if isinstance(exc, TimeoutError):
        return MediaError(
            f"{host} takes longer than {bounds.FETCH_SECONDS:g} seconds", hint=INSTEAD
        )
    why = tls.in_words(exc) if isinstance(exc, OSError) else "it is no address"
    return MediaError(f"{host or 'the URL'} cannot be asked: {why}", hint=INSTEAD)


@contextmanager
def _limited() -> Iterator[None]:
    """Raise TimeoutError when what is done within takes longer than it may, however it trickles."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, bounds.FETCH_SECONDS)
    try:
        yield
    except TimeoutError as exc:
        raise MediaError(
            f"it takes longer than {bounds.FETCH_SECONDS:g} seconds", hint=INSTEAD
        ) from exc
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
