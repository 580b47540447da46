"""What a run cost, in a file: JSON for programs, written over an earlier report only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.errors import AppError, UsageError

KIND = "modelembed report"
TEXT_MAX = 1 << 20  # bytes; more than any report: a file given by mistake may be a model


def require_free(path: Path) -> None:
    """Raise UsageError where a report would replace something else, or has no folder to be in.

    An empty file may be replaced, and what is no file, as /dev/stdout, written to.
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
    """Write `costs`, in seconds and bytes, to `path`; raise AppError where that fails."""
    require_free(path)
    try:
        path.write_text(json.dumps({"kind": KIND, **costs}, indent=1) + "\n")
    except OSError as exc:
        raise _explained(exc, path) from exc


def _obstacle(path: Path) -> str:
    """Return what is in the way of a file, empty for nothing; raise OSError where none may look."""
    folder = path.absolute().parent
    if path.is_dir():
        return "it is a folder"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    place = path if path.exists() else folder
    return "" if os.access(place, os.W_OK) else f"nothing may be written to {place}"


def _start(path: Path) -> bytes:
    """Return as much of a file as is needed to see whether it is a report."""
    with open(path, "rb") as file:
        return file.read(TEXT_MAX + 1)


def _is_report(text: bytes) -> bool:
    if len(text) > TEXT_MAX:
        return False
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def _explained(exc: OSError, path: Path) -> AppError:
    return AppError(f"{path} cannot be written: {exc.strerror}", hint="give --report another name")
