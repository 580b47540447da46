"""Cache of facts about files, valid as long as their inode, size and times do not change.

The same model is bundled again and again with other defaults. So an answer is kept under what the
system changes whenever a file changes: device, inode, size, and the times of the last change of
its content and of its inode, in nanoseconds. Git's index trusts the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence

from runtime.host import app_dirs

FILE = "known.json"
KEPT = 256
"""Answers that are remembered, the latest."""
SETTLED = 2.0
"""Seconds that a file must have been left alone: clocks of file systems are that coarse."""

_writing = threading.Lock()


class FileCache:
    """A cached answer to a question about open files, in the user's cache folder; best effort."""

    def __init__(self, question: str, files: Sequence[int]) -> None:
        """Ask `question` of the file descriptors `files`; about none, nothing is remembered."""
        self._path = app_dirs.cache() / FILE
        self._question = question
        self._files = files
        self._key = self._identity()
        latest = max((os.fstat(fd).st_ctime for fd in files), default=0.0)
        if time.time() - latest < SETTLED:
            self._key = ""  # a change within the same tick of the clock would leave no trace

    def get(self) -> str:
        """Return the remembered answer, empty if there is none."""
        found = self._read().get(self._key, "") if self._key else ""
        return found if isinstance(found, str) else ""

    def put(self, answer: str) -> None:
        """Remember the answer, unless a file changed since the question."""
        if not self._key or self._identity() != self._key:
            return
        with _writing:
            known = {**self._read(), self._key: answer}
            latest = dict(list(known.items())[-KEPT:])
            app_dirs.write_best_effort(self._path, json.dumps(latest, indent=0))

    def _identity(self) -> str:
        if not self._files:
            return ""
        facts = [self._question]
        for fd in self._files:
            s = os.fstat(fd)
            facts.append(f"{s.st_dev} {s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}")
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def _read(self) -> dict[str, object]:
        try:
            document = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}
