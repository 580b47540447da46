"""What a run cost, in a file: JSON for programs, written over an earlier report only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import AppError, UsageError

KIND = "modelembed report"


def require_free(path: Path) -> None:
    """Raise UsageError where a report would replace something else, or has no folder to be in.

    An empty file may be replaced, and what is no file, as /dev/stdout, written to.
    """
    try:
        if path.is_dir() or not path.parent.is_dir():
            what = "it is a folder" if path.is_dir() else "its folder does not exist"
            raise UsageError(f"{path} cannot be written: {what}", hint="name a file with --report")
        if path.is_file() and (text := path.read_bytes()) and not _is_report(text):
            raise UsageError(
                f"{path} exists already, and is no report", hint="give --report another name"
            )
    except OSError as exc:
        raise _explained(exc, path) from exc


def write(path: Path, costs: Mapping[str, Any]) -> None:
    """Write `costs`, in seconds and bytes, to `path`; raise AppError where that fails."""
    require_free(path)
    try:
        path.write_text(json.dumps({"kind": KIND, **costs}, indent=1) + "\n")
    except OSError as exc:
        raise _explained(exc, path) from exc


def _is_report(text: bytes) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def _explained(exc: OSError, path: Path) -> AppError:
    return AppError(f"{path} cannot be written: {exc.strerror}", hint="give --report another name")
