"""LoRA adapters: which ones to use, and at what strength."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime import disk, gguf
from runtime.errors import GGUFError, UsageError
from runtime.format import Section
from runtime.gguf import Header
from runtime.payload import Bundle

NONE = "none"


def check(header: Header, architecture: str, label: str) -> None:
    """Raise GGUFError unless `header` is that of a LoRA adapter for `architecture`."""
    if header.text("general.type") != "adapter" or header.text("adapter.type") != "lora":
        what = header.text("general.type") or "a model"
        raise GGUFError(
            f"{label} is no LoRA adapter: it is {what}",
            hint="convert one with llama.cpp's convert_lora_to_gguf.py",
        )
    if architecture and header.architecture != architecture:
        raise GGUFError(
            f"{label} is an adapter for {header.architecture}, the model is {architecture}",
            hint="use an adapter that was trained on this model",
        )


def wanted(sections: Iterable[Section], text: str) -> dict[str, float]:
    """Return the strength of each adapter by name, as `--lora TEXT` asks for.

    Without a text these are all adapters among `sections`, at 1. Raise UsageError when it is no
    list of NAME[=SCALE].
    """
    if text.strip() == NONE:
        return {}
    if not text.strip():
        return {section.name: 1.0 for section in sections if section.kind == "adapter"}
    result = {}
    for word in text.split(","):
        name, separator, scale = word.strip().rpartition("=")
        if not separator:
            name, scale = word.strip(), "1"
        try:
            strength = float(scale)
        except ValueError:
            strength = math.nan
        if not name or not math.isfinite(strength):
            raise UsageError(
                f"'{word}' is not NAME or NAME=SCALE", hint="for example --lora pirate=0.5"
            )
        result[name] = strength
    return result


@contextmanager
def located(bundle: Bundle | None, name: str) -> Iterator[tuple[int, int]]:
    """Give file descriptor and offset of the adapter `name`: a part of `bundle`, else a file."""
    sections = bundle.manifest.sections if bundle else ()
    for section in sections:
        if section.kind == "adapter" and section.name == name:
            assert bundle is not None
            yield bundle.fd, section.offset
            return
    path = Path(name)
    known = ", ".join(section.name for section in sections if section.kind == "adapter")
    try:
        file = os.fdopen(disk.open_file(path), "rb")
    except OSError as exc:
        raise UsageError(
            f"there is no adapter '{name}': {exc.strerror}",
            hint=f"the adapters in this file: {known or 'none'}; others are GGUF files",
        ) from exc
    with file:
        size = path.stat().st_size
        check(gguf.read(file.fileno(), size, label=name), "", name)
        yield file.fileno(), 0
