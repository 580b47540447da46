"""A conversation in a file: its text, and the engine's state, so that nothing is computed twice.

One line of JSON (what it is, for which model and engine, the turns, the tokens), the state as the
engine gives it, a SHA-256 of both, and the mark that this user's secret makes of that. The engine
reads a state without further checks, so one that somebody else made is not given to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import SessionError
from runtime.host import atomic_write, user_key

KIND, VERSION = "modelembed conversation", 1
DIGEST_SIZE = 32
HEADER_MAX = 64 << 20  # a damaged file must not make us read gigabytes as one line
ROLES = ("user", "assistant")
DAMAGED = "it is damaged"
FOREIGN = "its state was not saved by you on this machine"


@dataclass
class SessionFile:
    """What is kept of a conversation."""

    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)
    key: dict[str, str] = field(default_factory=dict)
    """What the state belongs to: model, engine."""
    tokens: list[int] = field(default_factory=list)
    """The tokens whose state it is."""
    state: bytes | bytearray = b""
    flaw: str = ""
    """Why there is no state, though the text could be read; empty where nothing is wrong."""

    def write(self, path: Path, *, replace: bool = False) -> None:
        """Write it to `path`, whole or not at all; raise SessionError where that fails.

        What is there is kept, unless `replace` is given and it is a conversation.
        """
        header = {
            "kind": KIND,
            "version": VERSION,
            "key": self.key,
            "system": self.system,
            "turns": self.turns,
            "tokens": self.tokens,
            "state": len(self.state),
        }
        # Text that was typed outside of UTF-8 has surrogates in it, which JSON escapes.
        line = json.dumps(header).encode() + b"\n"
        digest = hashlib.sha256(line)
        digest.update(self.state)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            _require_free(path, replace)
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(draft, "xb", opener=user_key.owner_only) as file:
                for part in (line, self.state, digest.digest(), user_key.sign(digest.digest())):
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            atomic_write.rename_into_place(draft, path, replace)
        except OSError as exc:
            raise SessionError(
                f"the conversation cannot be saved to {path}: {exc.strerror}",
                hint="name another place",
            ) from exc
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()


def _require_free(path: Path, replace: bool) -> None:
    """Raise SessionError where something lies at `path` that this may not replace."""
    if not path.is_file():
        return  # what else may be there, the system does not replace
    with open(path, "rb") as file:
        line = file.readline(HEADER_MAX)
    try:
        _header(line, path)
    except SessionError as exc:
        raise SessionError(f"{exc.problem}: it is kept", hint="choose another name") from exc
    if not replace:
        raise SessionError(
            f"{path} is another conversation, and is kept",
            hint="choose another name, or delete that file first",
        )


def read(path: Path) -> SessionFile:
    """Return what `path` holds; raise SessionError where it is no saved conversation."""
    try:
        with open(path, "rb") as file:
            line = file.readline(HEADER_MAX)
            header = _header(line, path)  # first: a file given by mistake may be a model
            saved = SessionFile(header["system"], header["turns"], header["key"])
            _read_state(file, line, header, saved)
    except OSError as exc:
        raise SessionError(
            f"{path} cannot be opened: {exc.strerror}", hint="/save NAME makes one"
        ) from exc
    return saved


def _read_state(
    file: io.BufferedReader, line: bytes, header: Mapping[str, Any], saved: SessionFile
) -> None:
    """Put the state behind `line` into `saved`, or what is wrong with it."""
    size: int = header["state"]
    rest = os.fstat(file.fileno()).st_size - len(line) - size - DIGEST_SIZE
    state = bytearray(size if size >= 0 <= rest else 0)  # what may be written to is not copied
    file.readinto(state)
    digest, mark = file.read(DIGEST_SIZE), file.read(user_key.MAC_SIZE + 1)
    found = hashlib.sha256(line)
    found.update(state)
    if rest < 0 or rest not in (0, user_key.MAC_SIZE) or found.digest() != digest:
        saved.flaw = DAMAGED
    elif not user_key.verify(digest, mark):
        saved.flaw = FOREIGN
    else:
        saved.tokens, saved.state = header["tokens"], state


def _header(line: bytes, path: Path) -> Mapping[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise SessionError(f"{path} is not a saved conversation", hint="/save NAME makes one")
    if header.get("version") != VERSION:
        raise SessionError(
            f"{path} is a conversation of version {header.get('version')}; this program reads "
            f"{VERSION}",
            hint="open it with the program that saved it",
        )
    kinds = {"key": dict, "system": str, "turns": list, "tokens": list, "state": int}
    good = all(isinstance(header.get(name), kind) for name, kind in kinds.items())
    good = good and all(_is_turn(turn) for turn in header["turns"])
    if not good or not all(type(token) is int for token in header["tokens"]):
        raise SessionError(
            f"{path} is a damaged conversation: even its text cannot be read",
            hint="take an older copy",
        )
    return header


def _is_turn(turn: Any) -> bool:
    return (
        isinstance(turn, dict)
        and turn.keys() == {"role", "content"}
        and turn["role"] in ROLES
        and isinstance(turn["content"], str)
    )
