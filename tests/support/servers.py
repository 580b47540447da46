"""The produced binary as a server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from background import SECONDS, background
from program import Program

LISTENING = r"listening on (https?://\S+)"


@dataclass
class Served:
    """A server that runs."""

    process: subprocess.Popen[str]
    url: str
    said: deque[str] = field(default_factory=deque)
    """The last lines on its stderr."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, path: str, body: dict[str, Any]) -> int:
        """Send JSON, wait for the whole answer, return its status."""
        data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, kind)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                response.read()
                return int(response.status)
        except urllib.error.HTTPError as exc:
            return exc.code

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """End it and the launcher at once, as the system does when memory is short."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)


@contextmanager
def serve(program: Program, *flags: str, port: int = 0) -> Iterator[Served]:
    """Give a server, at any free port; it is ended behind."""
    command = ["serve", *program.flags, "--port", str(port), *flags]
    with background(program, *command, ready=LISTENING, kept=50) as running:
        found = re.search(LISTENING, running.begun)
        assert found, running.begun
        yield Served(running.process, found[1].rstrip("/"), running.said)
