"""Wire: messages on the standard streams, one a line, which nothing else reads or writes."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator

from runtime import bounds
from runtime.host.std_streams import reader_has_gone
from runtime.mcp.json_rpc import Message

SKIPPED = 1 << 16
"""Bytes that are read at a time of a line that is too long."""


class Wire:
    """Two open files, by which messages come and go. `send` is safe from any thread."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        """Take file descriptors."""
        self._incoming = incoming
        self._outgoing = outgoing
        self._sending = threading.Lock()
        self.gone = False
        """Whether nobody reads what is sent."""

    @classmethod
    def of_this_process(cls) -> Wire:
        """Return the standard streams; whatever else is printed goes to stderr from then on."""
        sys.stdout.flush()
        wire = cls(os.dup(sys.stdin.fileno()), os.dup(sys.stdout.fileno()))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, sys.stdin.fileno())
        os.close(nothing)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return wire

    def lines(self) -> Iterator[bytes]:
        """Yield lines until there are no more; of one that is too long, a part that is, too."""
        with open(self._incoming, "rb") as file:
            while line := file.readline(bounds.TOOL_MESSAGE + 1):
                part = line
                while part and not part.endswith(b"\n"):
                    part = file.readline(SKIPPED)
                if line.strip():
                    yield line

    def send(self, message: Message) -> None:
        """Write a message; nothing if nobody reads it any more."""
        data = memoryview(json.dumps(message).encode() + b"\n")  # ASCII: no line ends within it
        with self._sending:
            try:
                while data and not self.gone:
                    data = data[os.write(self._outgoing, data) :]
            except OSError:
                self.gone = True

    def look(self) -> bool:
        """Return whether nobody reads any more, as is seen without a message, too."""
        self.gone = self.gone or reader_has_gone(self._outgoing)
        return self.gone
