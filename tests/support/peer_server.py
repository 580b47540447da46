"""llama-server at the engine's commit, as the peer whose answers are expected."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from projectors import Pair

from benchmarks import cache

SECONDS = 60


@contextlib.contextmanager
def peer_server(pair: Pair) -> Iterator[str]:
    """Give the address of llama-server with a model and its projector.

    The test is skipped where it was not built, which takes long.
    """
    built = sorted(cache.folder("peers").glob("*/llama-server"))
    if not built:
        pytest.skip("llama-server was not built: python -m benchmarks.peers")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(built[-1]), "-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1",
               "-c", "2048", "-np", "1", "-ngl", "0", "--port", str(port)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + SECONDS
            while process.poll() is None and time.monotonic() < end:
                with (
                    contextlib.suppress(OSError),
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health"),
                ):
                    break
                time.sleep(0.1)
            else:
                pytest.skip("llama-server does not run here: it was built for another processor")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
