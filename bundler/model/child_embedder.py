"""Child embedder: vectors computed by a runtime in a child process, for an index that is made."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from bundler import run_program
from bundler.temp_files import temporary_file
from runtime.container.text_form import TextForm
from runtime.errors import AppError


class ChildEmbedder:
    """An embedding model in another process."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[bytes], program: Path) -> None:
        """Talk to `process`, a runtime that was started with `embed`."""
        self._process, self._errors, self._program = process, errors, program
        first = self._line()
        self.dimensions = int(first["dimensions"])
        self.identity = str(first["identity"])
        """What vectors depend on, as `LocalEmbedder` has it."""

    def query(self, text: str) -> Sequence[float]:
        """Return the vector of a question, of length 1; raise AppError if that fails."""
        return self._vectors({"query": text})[0]

    def passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """Return the vectors of texts in which answers may be; raise AppError if that fails."""
        return self._vectors({"passages": list(texts)}) if texts else []

    def _vectors(self, question: Mapping[str, Any]) -> list[Sequence[float]]:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # why it ended is read below
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        numbers = array("f", base64.b64decode(self._line()["vectors"]))
        starts = range(0, len(numbers), self.dimensions)
        return [numbers[begin : begin + self.dimensions] for begin in starts]

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print, too
                found: dict[str, Any] = json.loads(line)
                return found
        code = self._process.wait()
        self._errors.seek(0)
        err = self._errors.read().decode(errors="replace").strip()
        run_program.require_launched(self._program, code, err)
        problem, _, hint = err.removeprefix("error: ").partition("\n\nhint: ")
        raise AppError(
            f"the vectors of the documents could not be computed: {problem or 'it crashed'}",
            hint=hint or "leave out --embedder: the documents are then found by their words",
        )


@contextlib.contextmanager
def started(runtime: Path, path: Path, form: TextForm | None = None) -> Iterator[ChildEmbedder]:
    """Give an embedding model in a process of `runtime`, which must run here, meanwhile.

    It is the GGUF at `path`, used in `form`, or that of the bundle at `path`. Raise AppError if it
    cannot be used.
    """
    how = ["--form", json.dumps(form.facts())] if form else []
    arguments = ["embed", str(path.absolute()), *how]
    with (
        temporary_file() as errors,  # read at the end: two pipes at once would need a thread
        run_program.talking(runtime, arguments, errors) as process,
    ):
        yield ChildEmbedder(process, errors, runtime)
