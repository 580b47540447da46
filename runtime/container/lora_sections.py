"""LoRA adapters as sections or files: parse --lora, and open the adapter that a name means."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.container.bundle_file import Bundle
from runtime.container.layout import Section, is_plain_name
from runtime.errors import GGUFError, UsageError
from runtime.gguf.header import Header, read_header
from runtime.host import user_files

NONE = "none"
TYPES = {"": "a model", "model": "a model", "mmproj": "a projector", "adapter": "another adapter"}
"""What a GGUF file is that is no LoRA adapter, by its general.type."""
RESERVED = (NONE, "manifest")  # what `--lora` and `extract` mean by it is something else


def check(header: Header, architecture: str, label: str) -> None:
    """Raise GGUFError unless `header` belongs to a LoRA adapter for `architecture`."""
    if header.text("general.type") != "adapter" or header.text("adapter.type") != "lora":
        kind = header.text("general.type")
        what = TYPES.get(kind, f"of the type '{kind}'")
        raise GGUFError(
            f"{label} is no LoRA adapter: it is {what}",
            hint="convert one with llama.cpp's convert_lora_to_gguf.py",
        )
    if architecture and header.architecture != architecture:
        raise GGUFError(
            f"{label} is an adapter for {header.architecture}, the model is {architecture}",
            hint="use an adapter that was trained on this model",
        )


def requested(sections: Iterable[Section], text: str) -> dict[str, float]:
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
        if not name or (found := strength(scale)) is None:
            raise UsageError(
                f"'{word}' is not NAME or NAME=SCALE", hint="for example --lora pirate=0.5"
            )
        result[name] = found
    return result


def strength(text: str) -> float | None:
    """Return the strength that `text` spells, None if it is not a finite number."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def text_of(strengths: Mapping[str, float], names: Sequence[str]) -> str:
    """Return the --lora text for these strengths, where `names` are all adapters."""
    if strengths == dict.fromkeys(names, 1.0):
        return ""
    words = [f"{name}={scale:g}" if float(f"{scale:g}") == scale else f"{name}={scale!r}"
             for name, scale in strengths.items()]  # fmt: skip
    return ",".join(words) or NONE


def from_words(words: Iterable[str]) -> dict[Path, float]:
    """Return the files that FILE[=SCALE] words name, each with its strength.

    Raise UsageError where one is given twice, its strength is no number, or its name would be of
    no use to `--lora`.
    """
    result: dict[Path, float] = {}
    for word in words:
        name, separator, scale = word.rpartition("=")
        if not separator or Path(word).exists():  # a file's name may have that sign in it
            name, scale = word, "1"
        found = strength(scale)
        if found is None or not name:
            raise UsageError(
                f"'{word}' is not FILE or FILE=SCALE: '{scale}' is no number",
                hint="for example --lora pirate.gguf=0.5",
            )
        path = Path(name)
        if path in result:
            raise UsageError(f"{path} is given twice", hint="leave one of them out")
        part_name(path)
        result[path] = found
    return result


def part_name(path: Path) -> str:
    """Return the section name of an adapter file; raise UsageError if --lora cannot name it."""
    name = path.name.removesuffix(".gguf")
    if not is_plain_name(name) or "," in name or name != name.strip() or name in RESERVED:
        shown = "".join(c if c.isprintable() else "?" for c in path.name)
        raise UsageError(
            f"an adapter cannot be called '{shown}'",
            hint="it is known by the name of its file: give that another one, such as pirate.gguf",
        )
    return name


def check_default(text: str, names: Sequence[str]) -> None:
    """Raise UsageError unless a baked-in `--lora TEXT` asks for parts of the file alone.

    `names` are those of its adapters. A file elsewhere may not be there when the program starts.
    """
    for name in requested([], text):
        if name not in names:
            raise UsageError(
                f"the default lora={text} asks for '{name}', which is no adapter in this file",
                hint=f"its adapters: {', '.join(names) or 'none'}; --lora FILE.gguf adds one",
            )


@contextmanager
def open_adapter(
    bundle: Bundle | None,
    name: str,
    open_file: Callable[[str], int] = user_files.open_seekable,
) -> Iterator[tuple[int, int]]:
    """Give file descriptor and offset of the adapter `name`: a part of `bundle`, else a file.

    `open_file` returns the descriptor of a file, or raises OSError.
    """
    sections = bundle.manifest.sections if bundle else ()
    for section in sections:
        if section.kind == "adapter" and section.name == name:
            assert bundle is not None
            yield bundle.fd, section.offset
            return
    known = ", ".join(section.name for section in sections if section.kind == "adapter")
    fd = -1
    try:
        try:
            fd = open_file(name)
            check(read_header(fd, os.fstat(fd).st_size, label=name), "", name)
        except OSError as exc:
            raise UsageError(
                f"there is no adapter '{name}': {exc.strerror}",
                hint=f"the adapters in this file: {known or 'none'}; others are GGUF files",
            ) from exc
        yield fd, 0
    finally:
        if fd >= 0:
            os.close(fd)
