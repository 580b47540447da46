"""An agent's end of the Model Context Protocol: raw messages, one a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from program import Program

SECONDS = 60
VERSION, STATELESS = "2025-11-25", "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
}
"""What each request has in the versions that settle nothing."""


@dataclass
class Agent:
    """Writes to a server, and reads what it says."""

    out: IO[bytes]
    into: IO[bytes]
    told: list[dict[str, Any]] = field(default_factory=list)
    """Notifications that came meanwhile."""

    def send(self, method: str, id: Any = None, **params: Any) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        self.write({**message, "id": id} if id is not None else message)

    def write(self, message: Any) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.out.write(line + b"\n")
        self.out.flush()

    def read(self) -> dict[str, Any]:
        """Return the next answer."""
        while True:
            message: dict[str, Any] = json.loads(self.into.readline())
            if "id" in message:
                return message
            self.told.append(message["params"])

    def ask(self, method: str, id: Any = 1, **params: Any) -> Any:
        """Return the result of a request, or its error."""
        self.send(method, id, **params)
        found = self.read()
        assert found["id"] == id, found
        return found.get("result") or found.get("error") or {}

    def call(self, tool: str = "ask", id: Any = 1, **arguments: Any) -> Any:
        return self.ask("tools/call", id, name=tool, arguments=arguments)

    def begin(self, version: str = VERSION) -> Any:
        """Settle a version; return what the server says of itself."""
        about = {"name": "agent", "version": "1"}
        found = self.ask(
            "initialize", 0, protocolVersion=version, capabilities={}, clientInfo=about
        )
        self.send("notifications/initialized")
        return found

    def close(self) -> None:
        """Ask no more; what was asked may still be answered."""
        self.out.close()


def text(result: dict[str, Any]) -> str:
    """Return what a tool gave."""
    assert not result["isError"], result
    return str(result["content"][0]["text"])


@contextmanager
def agent_of(program: Program, *flags: str) -> Iterator[tuple[Agent, subprocess.Popen[bytes]]]:
    """Start a program as a tool of an agent; end it as agents do."""
    process = subprocess.Popen(
        [str(program.path), "mcp", *program.flags, *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **program.environment},
        start_new_session=True,
    )
    with process:
        assert process.stdin and process.stdout
        try:
            yield Agent(process.stdin, process.stdout), process
            process.stdin.close()
            process.wait(SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
