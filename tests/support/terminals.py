"""A pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pexpect
import pyte

COLUMNS, ROWS = 80, 40


class Terminal:
    """A program on a terminal: what is typed, and what the screen shows."""

    def __init__(self, path: Path, *arguments: str, **variables: str) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **variables}
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            str(path), list(arguments), dimensions=(ROWS, COLUMNS), env=environment, timeout=60
        )

    def type(self, text: str) -> None:
        """Type `text` and press Return."""
        self.child.send(f"{text}\r")

    def shows(self, text: str, times: int = 1, seconds: float = 60) -> bool:
        """Wait until the screen shows `text` so many times."""
        end = time.monotonic() + seconds
        while self.text.count(text) < times:
            if time.monotonic() > end or not self._read():
                raise AssertionError(f"no {text!r} on the screen:\n{self.text}")
        return True

    def answers(self, text: str, times: int) -> None:
        """Wait until it has said `text` so many times in all, and asks for the next question."""
        end = time.monotonic() + 60
        while self.raw.count(text.encode()) < times or not self.text.endswith("\n>"):
            assert time.monotonic() < end and self._read(), f"it does not go on:\n{self.text}"

    def read(self, seconds: float) -> None:
        """Show what is written within the next `seconds`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._read(left):
            pass

    def _read(self, seconds: float = 0.1) -> bool:
        """Show what has been written since; return False once the program has ended."""
        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(data)
        if b"\x1b[6n" in data:  # prompt_toolkit asks where the cursor is
            self.child.send(f"\x1b[{self.screen.cursor.y + 1};{self.screen.cursor.x + 1}R")
        return True

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).strip()

    def ended(self) -> int:
        """Wait for the end; return the exit code."""
        end = time.monotonic() + 60
        while self._read():
            assert time.monotonic() < end, f"it goes on:\n{self.text}"
        self.child.close()
        return int(self.child.exitstatus)
