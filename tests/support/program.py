"""An executable under test: started with flags, run to its end, watched while it writes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 120


@dataclass(frozen=True)
class Done:
    """A finished run: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """An executable under test, with flags that are always given."""

    path: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS, **variables: str
    ) -> Done:
        """Run it to its end. Without `stdin` nothing is piped in."""
        done = subprocess.run(
            [str(self.path), *self.flags, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            env={**os.environ, **self.environment, **variables},
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ask(self, question: str, *flags: str) -> str:
        """Return its answer to one question; anything else on the way is a failure."""
        done = self("-p", question, *flags)
        assert done.code == 0, done.err
        assert done.err == ""
        return done.out.removesuffix("\n")


def is_writing(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait until `process` holds a file open in `folder`, named or not; tell if it ever did."""
    descriptors = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        for descriptor in os.listdir(descriptors):
            with contextlib.suppress(FileNotFoundError):  # closed since
                if os.readlink(descriptors / descriptor).startswith(str(folder)):
                    return True
        time.sleep(0.01)
    return False
