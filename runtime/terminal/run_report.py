"""Run report: the costs of a run as a JSON file, which may replace only an earlier report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime import bounds
from runtime.errors import AppError, UsageError

KIND = "modelembed report"


def require_free(path: Path) -> None:
    """Raise UsageError if a report would replace another file, or cannot be written.

    An empty file may be replaced; anything that is not a regular file, such as /dev/stdout, is
    written to.
    """
    try:
        if obstacle := _obstacle(path):
            raise UsageError(
                f"{path} cannot be written: {obstacle}", hint="name another file with --report"
            )
        if path.is_file() and (text := _start(path)) and not _is_report(text):
            raise UsageError(
                f"{path} exists already, and is no report", hint="give --report another name"
            )
    except OSError as exc:
        raise UsageError(
            f"{path} cannot be written: {exc.strerror}", hint="name another file with --report"
        ) from exc


def write(path: Path, costs: Mapping[str, Any]) -> None:
    """Write `costs`, in seconds and bytes, to `path`; raise AppError if that fails."""
    require_free(path)
    try:
        path.write_text(json.dumps({"kind": KIND, **costs}, indent=1) + "\n")
    except OSError as exc:
        raise _explained(exc, path) from exc


def _obstacle(path: Path) -> str:
    """Return why a file cannot be created at `path`, empty if it can; raise OSError if unknown."""
    folder = path.absolute().parent
    if path.is_dir():
        return "it is a folder"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    place = path if path.exists() else folder
    return "" if os.access(place, os.W_OK) else f"nothing may be written to {place}"


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, enough to recognise a report."""
    with open(path, "rb") as file:
        return file.read(bounds.REPORT + 1)


def _is_report(text: bytes) -> bool:
    if len(text) > bounds.REPORT:
        return False
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def _explained(exc: OSError, path: Path) -> AppError:
    return AppError(f"{path} cannot be written: {exc.strerror}", hint="give --report another name")
