"""Check a model before it is bundled: kind, completeness, tokenizer, chat template, licence."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundler import run_program
from bundler.file_cache import FileCache
from bundler.model import split_files
from bundler.model.file_types import file_type_name
from bundler.model.split_files import Opened
from bundler.temp_files import in_temporary_folder
from runtime.container.extents import Extent, Extents
from runtime.errors import AppError, GGUFError
from runtime.gguf.header import Header, parse_header
from runtime.gguf.projector import is_projector
from runtime.gguf.tensor_types import TYPES

QUESTION_SECONDS = 120
TEMPLATES = ("given", "own", "missing")
"""Where a model's chat template comes from."""


@dataclass(frozen=True)
class Model:
    """A model that can be bundled."""

    source: Extents
    header: Header
    """Of `source`."""
    facts: dict[str, Any]
    """For the manifest: name, license, architecture, parameters, quantization …"""
    warnings: list[str] = field(default_factory=list)
    originals: list[tuple[str, Extents]] = field(default_factory=list)
    """Name and content of the files that were merged; none for a model in one file."""


@dataclass(frozen=True)
class EngineFindings:
    """The engine's findings on a model that it can load."""

    warnings: list[str] = field(default_factory=list)


def preflight(path: Path) -> list[Opened]:
    """Open the model at `path`, all parts of it; raise GGUFError when it cannot be one.

    Needs no engine, so that a wrong file is refused before a runtime is built for it.
    """
    opened = split_files.parts(split_files.open_file(path))
    header = opened[0].header
    _check_kind(header, path)
    for part in opened:
        check_complete(part)
    _check_vocabulary_only(header, opened, path)
    return opened


def examine(opened: list[Opened]) -> Model:
    """Return what is to be bundled, and what its header says about it."""
    warnings: list[str] = []
    if len(opened) > 1:
        warnings.append(f"merged {len(opened)} parts into one model")
    found = facts(opened[0].header, opened, opened[0].path)
    if not found.get("license"):
        warnings.append("the model file names no licence: check that you may pass it on")
    if len(opened) == 1:
        return Model(split_files.merged(opened), opened[0].header, found, warnings)
    source = split_files.merged(opened)
    head = source.parts[0]
    assert isinstance(head, bytes)
    originals = [(part.path.name, Extents([Extent(part.fd, 0, part.size)])) for part in opened]
    header = parse_header(head, label="the merged model")
    return Model(source, header, found, warnings, originals)


def ask_engine(stub: Path, opened: list[Opened], chat_template: str) -> EngineFindings:
    """Let the engine in `stub` load the model's vocabulary and render its template.

    `chat_template` overrides the model's own. Raise GGUFError when the engine refuses either. What
    it accepted once, of files that did not change, it is not asked again.
    """
    with open(stub, "rb") as runtime:
        files = [runtime.fileno(), *(part.fd for part in opened)]
        cache = FileCache(f"chat template: {chat_template}", files)
        template = cache.get()
        if template not in TEMPLATES:
            template = _examined(stub, opened, chat_template)
            cache.put(template)
    return _template_findings(template)


def _examined(stub: Path, opened: list[Opened], chat_template: str) -> str:
    """Return where the chat template comes from: one of TEMPLATES."""
    with _askable(opened) as askable:
        answer = _ask(stub, askable, chat_template)
    if answer["error"]:
        raise _refused(answer["error"], opened[0].header, opened[0].path)
    if answer["template_error"]:
        raise GGUFError(
            answer["template_error"],
            hint="give a working one: --chat-template FILE, or a name such as chatml",
        )
    return str(answer["template"])


def _check_kind(header: Header, path: Path) -> None:
    architecture = header.architecture
    if not architecture:
        raise GGUFError(
            f"{path} does not say what architecture it has", hint="convert the model again"
        )
    if is_projector(header):
        raise GGUFError(
            f"{path} is a multimodal projector, the part of a model that takes pictures or sound",
            hint=f"bundle the language model that it belongs to, and this with it: --mmproj {path}",
        )
    if header.text("general.type") in ("adapter", "imatrix"):
        raise GGUFError(
            f"{path} is {header.text('general.type')} data, not a whole model",
            hint="bundle the model that it was made for",
        )


def check_complete(part: Opened) -> None:
    """Refuse a file that ends before its tensors do."""
    for tensor in part.header.tensors:
        if tensor.type not in TYPES:
            continue  # newer than this reader: the engine decides
        end = part.header.data_offset + tensor.offset + tensor.size
        if end > part.size:
            missing = part.header.end - part.size
            raise GGUFError(
                f"{part.path} is truncated: {missing:,} of {part.header.end:,} bytes are missing",
                hint="finish or repeat its download",
            )


def _check_vocabulary_only(header: Header, opened: list[Opened], path: Path) -> None:
    if not any(part.header.tensors for part in opened):
        raise GGUFError(f"{path} holds only a vocabulary, no weights", hint="bundle the full model")
    if "tokenizer.ggml.model" not in header.metadata:
        raise GGUFError(
            f"{path} has no tokenizer", hint="convert the model again, with its tokenizer files"
        )


@contextlib.contextmanager
def _askable(opened: list[Opened]) -> Iterator[Path]:
    """Give a file that the engine can read the vocabulary from.

    Of a split model that is the merged header over a hole as large as the weights.
    """
    if len(opened) == 1:
        yield opened[0].path
        return
    source = split_files.merged(opened)
    head = source.parts[0]
    assert isinstance(head, bytes)
    with contextlib.ExitStack() as stack:
        with in_temporary_folder():
            file = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".gguf"))
            file.write(head)
            file.truncate(source.size)
            file.flush()
        yield Path(file.name)


def _ask(stub: Path, path: Path, chat_template: str) -> dict[str, Any]:
    question = ["probe", str(path.absolute()), "--chat-template", chat_template]
    try:
        done = run_program.run(stub, question, seconds=QUESTION_SECONDS)
    except subprocess.TimeoutExpired:
        raise AppError(
            f"the engine has not got through the header of {path} and its chat template after "
            f"{QUESTION_SECONDS} seconds",
            hint="the template may never end: give another one, --chat-template FILE|NAME",
        ) from None
    try:
        answer: dict[str, Any] = {"template_error": ""}
        for line in done.out.splitlines():
            answer |= json.loads(line)
    except ValueError:
        raise AppError(
            f"the runtime does not answer: {done.err or 'it printed nothing'}",
            hint="build it again with `modelembed stub --force`",
        ) from None
    if "template" in answer and not answer["error"] and done.code:
        answer["template_error"] = (
            "the chat template does not end"
            if -done.code == signal.SIGXCPU
            else "the chat template crashes the engine"
        )
    elif done.crashed:
        why = done.err.partition("\n")[0].removeprefix("error: ")
        error = f"it crashes the engine: {why}" if why else "it crashes the engine"
        return {"error": error, "template_error": "", "template": "own"}
    elif "template" not in answer:
        raise AppError(
            f"the runtime does not answer: {done.err or 'it printed nothing'}",
            hint="build it again with `modelembed stub --force`",
        )
    return answer


def _refused(reason: str, header: Header, path: Path) -> GGUFError:
    if "unknown model architecture" in reason:
        return GGUFError(
            f"{path} has the architecture '{header.architecture}', which this engine does not know",
            hint="it may be newer than this release of modelembed, or no language model",
        )
    return GGUFError(f"the engine refuses {path}: {reason}", hint="convert the model again")


def _template_findings(template: str) -> EngineFindings:
    if template == "missing":
        warning = (
            "the model has no chat template: chats will use 'chatml' (set the right one with "
            "--chat-template FILE|NAME). If it is a base model, it continues texts: one question "
            "is continued as it is"
        )
        return EngineFindings([warning])
    return EngineFindings()


def facts(header: Header, opened: Sequence[Opened], path: Path) -> dict[str, Any]:
    """Return what the manifest says about the model."""
    tensors = [tensor for part in opened for tensor in part.header.tensors]
    bytes_by_type: Counter[str] = Counter()
    for tensor in tensors:
        bytes_by_type[tensor.type_name] += tensor.size
    kinds = [name for name, _ in bytes_by_type.most_common()]
    found = {
        "file": path.name,
        "name": header.text("general.name"),
        "architecture": header.architecture,
        "parameters": sum(part.header.parameters for part in opened),
        "quantization": file_type_name(header.metadata.get("general.file_type"))
        or (kinds[0] if kinds else ""),
        "context": header.hyper("context_length"),
        "license": header.text("general.license.name") or header.text("general.license"),
        "license_link": header.text("general.license.link"),
        "author": header.text("general.author"),
        "url": header.text("general.url"),
    }
    return {key: value for key, value in found.items() if value}
