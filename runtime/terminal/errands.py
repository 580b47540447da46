"""Errands: what the chat has the process outside of the sandbox do for its user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.container import lora_sections
from runtime.container.bundle_file import Bundle
from runtime.dialogue import session_disk
from runtime.media import files
from runtime.sandbox.outside import Outside, Reply
from runtime.terminal import run_report


class Errands:
    """The process outside, as the chat uses it; must be created before any thread is started."""

    def __init__(self, bundle: Bundle | None, report: Path | None) -> None:
        """Let it open conversations, adapters, pictures and sounds, and write to `report` alone."""

        def open_adapter(given: Mapping[str, Any], _: int | None) -> Reply:
            with lora_sections.open_adapter(bundle, given["name"]) as (fd, _offset):
                return Reply({}, os.dup(fd))

        def write_report(given: Mapping[str, Any], _: int | None) -> Reply:
            if report:
                run_report.write(report, given["costs"])
            return Reply({})

        def open_media(given: Mapping[str, Any], _: int | None) -> Reply:
            return Reply({}, files.open_file(given["name"], given["wanted"]))

        self._outside = Outside(
            {
                **session_disk.services(),
                "open_adapter": open_adapter,
                "open_media": open_media,
                "write_report": write_report,
            }
        )
        self.disk = session_disk.DiskOutside(self._outside)

    def open_adapter(self, name: str) -> int:
        """Return the descriptor of an adapter's file; raise AppError if there is none."""
        fd = self._outside.ask("open_adapter", name=name).fd
        assert fd is not None
        return fd

    def open_media(self, name: str, wanted: str = "") -> int | None:
        """Return the descriptor of a picture's or sound's file, None if there is none.

        Raise AppError if it is something else than `wanted`, a key of files.WANTED.
        """
        return self._outside.ask("open_media", name=name, wanted=wanted).fd

    def write_report(self, costs: Mapping[str, Any]) -> None:
        """Write the report of the run; raise AppError if that fails."""
        self._outside.ask("write_report", costs=costs)

    def close(self) -> None:
        """End the process."""
        self._outside.close()
