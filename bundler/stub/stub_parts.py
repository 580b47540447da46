"""Parts of a stub: our first stage, and what PyInstaller makes, its launcher and archive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.container import elf, layout
from runtime.container.layout import COOKIE, COOKIE_MAGIC, LAUNCHER_ALIGNMENT
from runtime.container.writer import Stub
from runtime.errors import AppError


def assembled(image: bytes, stage: bytes, facts: Mapping[str, Any]) -> Stub:
    """Return the stub made of PyInstaller's executable `image` and the first stage."""
    prefix, headers = elf.split_program(stage)
    if len(prefix) > LAUNCHER_ALIGNMENT:
        raise AppError(
            f"the first stage has {len(prefix)} bytes, at most {LAUNCHER_ALIGNMENT} find room",
            hint="compile it smaller: bundler/engine/first_stage.py",
        )
    launcher = elf.without_table_position(elf.split_program(image)[0])
    described = elf.data_section(
        elf.LAUNCHER, LAUNCHER_ALIGNMENT, len(launcher), LAUNCHER_ALIGNMENT
    )
    return Stub(
        prefix.ljust(LAUNCHER_ALIGNMENT, b"\0") + launcher,
        [*headers, described],
        _archive(image),
        facts,
        layout.WITH_STAGE,
    )


def _archive(image: bytes) -> bytes:
    """Return the archive at the end of PyInstaller's executable."""
    place = image.rfind(COOKIE_MAGIC)
    if place < 0:
        raise AppError("PyInstaller's executable has no archive", hint="modelembed stub --force")
    end = place + COOKIE.size
    return image[end - COOKIE.unpack_from(image, place)[1] : end]
