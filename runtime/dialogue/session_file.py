"""Session file: a saved conversation with its KV-cache state, so that nothing is decoded again.

The format is one line of JSON (kind, version, model and engine, turns, tokens), the state as
llama_state_seq_get_data writes it, a SHA-256 of both (32 bytes), and the HMAC of that hash with the
user's key (32 bytes, missing if the user has no key). The engine does not validate a state, so one
that this user did not write is not loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime import bounds
from runtime.chat_format import media_parts
from runtime.chat_format.chat_template import Message
from runtime.chat_format.media_parts import MEDIA
from runtime.errors import MediaError, SessionError
from runtime.host import atomic_write, hmac_key, resources
from runtime.units import gigabytes

Part = bytes | bytearray | memoryview
KIND, VERSION = "modelembed conversation", 1
WITH_MEDIA = 2
"""The version of those with pictures or sounds, which older programs cannot show."""
DIGEST_SIZE = 32
ROLES = ("user", "assistant")
STATE_DAMAGED = "it is damaged"
STATE_UNTRUSTED = "its state was not saved by you on this machine"


@dataclass
class SessionFile:
    """Content of a saved conversation."""

    system: str = ""
    turns: list[Message] = field(default_factory=list)
    key: dict[str, str] = field(default_factory=dict)
    """The properties of model and engine that the state depends on."""
    tokens: list[int] = field(default_factory=list)
    """The tokens that the state is of."""
    state: bytes | bytearray = b""
    """Bytes as llama_state_seq_get_data writes them; empty if unusable."""
    state_error: str = ""
    """Why the state was not read although the text could be; empty if there is no error."""

    def write(self, path: Path, *, replace: bool = False) -> None:
        """Publish the file at `path`."""
        publish(path, self.parts(), replace=replace)

    def parts(self) -> list[Part]:
        """Return the bytes of the file but for the HMAC: the header's line, the state, the hash."""
        header = {
            "kind": KIND,
            "version": WITH_MEDIA if any(map(media_parts.media_of, self.turns)) else VERSION,
            "key": self.key,
            "system": self.system,
            "turns": media_parts.written(self.turns),
            "tokens": self.tokens,
            "state": len(self.state),
        }
        # Input that was not UTF-8 contains surrogates, which JSON escapes.
        line = json.dumps(header).encode() + b"\n"
        if len(line) > bounds.SESSION_TEXT:
            raise SessionError(
                f"the conversation has {gigabytes(len(line))} of texts and pictures, "
                f"at most {gigabytes(bounds.SESSION_TEXT)} are saved",
                hint="begin a new one with /clear",
            )
        digest = hashlib.sha256(line)
        digest.update(self.state)
        return [line, self.state, digest.digest()]


def publish(path: Path, parts: Sequence[Part], *, replace: bool) -> None:
    """Write `parts` to `path` atomically, marked as this user's; raise SessionError if that fails.

    The last part is their hash. An existing file is replaced only if it is a saved conversation and
    `replace` is set.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _require_free(path, replace)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb", opener=hmac_key.owner_only) as file:
            for part in (*parts, hmac_key.sign(bytes(parts[-1]))):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        atomic_write.rename_into_place(temporary, path, replace)
    except OSError as exc:
        raise SessionError(
            f"the conversation cannot be saved to {path}: {exc.strerror}",
            hint="name another place",
        ) from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _require_free(path: Path, replace: bool) -> None:
    """Raise SessionError if there is a file at `path` that must not be replaced."""
    if not path.is_file():
        return  # renaming fails on anything but a file
    with open(path, "rb") as file:
        line = file.readline(bounds.SESSION_TEXT)
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
    """Return the content of `path`; raise SessionError if it is not a saved conversation."""
    with open_saved(path) as file:
        return parse(file, path, hmac_key.verify)


def open_saved(path: Path) -> io.BufferedReader:
    """Open a saved conversation; raise SessionError if it is something else."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    try:
        require_conversation(file, path)
    except BaseException:
        file.close()
        raise
    return file


def require_conversation(file: io.BufferedReader, path: Path) -> None:
    """Raise SessionError unless `file` begins as a saved conversation; it ends up at its start."""
    try:
        _header(
            file.readline(bounds.SESSION_TEXT), path
        )  # the file may be a model, given by mistake
        file.seek(0)
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def parse(
    file: io.BufferedReader, path: Path, is_own: Callable[[bytes, bytes], bool]
) -> SessionFile:
    """Return the content of `file`, which was opened at `path`; raise SessionError if it has none.

    `is_own` says whether the user's HMAC of a hash is right.
    """
    try:
        line = file.readline(bounds.SESSION_TEXT)
        header = _header(line, path)
        try:
            turns = media_parts.read(header["turns"])
        except MediaError as exc:
            raise SessionError(f"{path}: a picture or sound in it: {exc.problem}") from exc
        saved = SessionFile(header["system"], turns, header["key"])
        _read_state(file, line, header, saved, is_own)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    return saved


def _unreadable(path: Path, exc: OSError) -> SessionError:
    return SessionError(f"{path} cannot be opened: {exc.strerror}", hint="/save NAME makes one")


def _read_state(
    file: io.BufferedReader,
    line: bytes,
    header: Mapping[str, Any],
    saved: SessionFile,
    is_own: Callable[[bytes, bytes], bool],
) -> None:
    """Read the state after `line` into `saved`, or set its `state_error`."""
    size: int = header["state"]
    rest = os.fstat(file.fileno()).st_size - len(line) - size - DIGEST_SIZE
    room = resources.available_memory()
    if rest >= 0 and room is not None and size > room:
        saved.state_error = (
            f"its state takes {gigabytes(size)} of memory, {gigabytes(room)} are free"
        )
        return
    state = bytearray(size if size >= 0 <= rest else 0)  # writable, so not copied
    file.readinto(state)
    digest, mac = file.read(DIGEST_SIZE), file.read(hmac_key.MAC_SIZE + 1)
    found = hashlib.sha256(line)
    found.update(state)
    if rest < 0 or rest not in (0, hmac_key.MAC_SIZE) or found.digest() != digest:
        saved.state_error = STATE_DAMAGED
    elif not is_own(digest, mac):
        saved.state_error = STATE_UNTRUSTED
    else:
        saved.tokens, saved.state = header["tokens"], state


def _header(line: bytes, path: Path) -> Mapping[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise SessionError(f"{path} is not a saved conversation", hint="/save NAME makes one")
    if header.get("version") not in (VERSION, WITH_MEDIA):
        raise SessionError(
            f"{path} is a conversation of version {header.get('version')}; this program reads "
            f"{VERSION} and {WITH_MEDIA}",
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
        and {"role", "content"} <= turn.keys() <= {"role", "content", "reasoning_content", MEDIA}
        and turn["role"] in ROLES
        and all(isinstance(text, str) for key, text in turn.items() if key != MEDIA)
        and isinstance(turn.get(MEDIA, []), list)
        and all(isinstance(text, str) for text in turn.get(MEDIA, []))
    )
