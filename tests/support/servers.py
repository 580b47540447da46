"""The produced binary as a server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from program import Program

SECONDS = 60


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
    command = [str(program.path), "serve", *program.flags, "--port", str(port), *flags]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **program.environment},
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said: deque[str] = deque(maxlen=50)
        url = ""
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"listening on (https?://\S+)", line):
                url = found[1].rstrip("/")
                break
        reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            assert url, "".join(said)
            yield Served(process, url, said)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            reader.join()
