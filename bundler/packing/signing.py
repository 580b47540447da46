"""Sign with a minisign secret key, after asking for its password where it has one.

Source: https://jedisct1.github.io/minisign/, "Secret key format", and minisign 0.11, which leaves
the checksum of a key without a password zero.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import category

from runtime import bounds
from runtime.container import minisign
from runtime.container.minisign import (
    ALGORITHM,
    UNTRUSTED,
    PublicKey,
    Signature,
)
from runtime.errors import AppError, PayloadError, UsageError

SECRET = struct.Struct("<2s2s2s32sQQ104s")
"""Algorithms of key, password and checksum; salt, operations and memory; what is locked."""
LOCKED = struct.Struct("<Q32s32s32s")  # key id, seed, public key, checksum
NO_PASSWORD, SCRYPT = b"\0\0", b"Sc"
BLAKE2B = b"B2"
NO_CHECKSUM = bytes(32)
NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line ends

PASSWORD_VARIABLE = "MODELEMBED_KEY_PASSWORD"
HINT = "give the secret key that `minisign -G` wrote"
DAMAGED = "restore it from a copy"


@dataclass(frozen=True)
class SecretKey:
    """The half of a key pair that signs, unlocked."""

    key_id: int
    seed: bytes = field(repr=False)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], ask_password: Callable[[str], str] | None = None
    ) -> SecretKey:
        """Return the key in the file `path`.

        `ask_password` is called with a question if the key has a password; without it, it comes
        from the environment or the terminal. Raise UsageError when the file is no secret key or
        a damaged one, AppError when the password is wrong.
        """
        try:
            with open(path, "rb") as file:
                text = file.read(bounds.SIGNATURE + 1)
        except OSError as exc:
            raise UsageError(f"{path} cannot be read: {exc.strerror}", hint=HINT) from exc
        kind, salt, operations, memory, locked = _parse(path, text)
        if kind == SCRYPT:
            password = (ask_password or ask)(f"password of {Path(path).name}: ")
            stream = _stretch(path, password, salt, operations, memory)
            locked = bytes(a ^ b for a, b in zip(locked, stream, strict=True))
        key_id, seed, public, checksum = LOCKED.unpack(locked)
        right = hashlib.blake2b(ALGORITHM + locked[:-32], digest_size=32).digest()
        if kind == SCRYPT and checksum != right:
            raise AppError(
                f"the password does not unlock {path}",
                hint="type it again; if it is right for certain, the file is damaged",
            )
        key = cls(key_id, seed)
        if checksum not in (right, NO_CHECKSUM) or key.public.ed25519 != public:
            raise UsageError(f"{path} is damaged: its parts do not belong together", hint=DAMAGED)
        return key

    @property
    def public(self) -> PublicKey:
        """Return the key that verifies what this one signs."""
        from nacl.signing import SigningKey

        return PublicKey(self.key_id, bytes(SigningKey(self.seed).verify_key))

    def sign(self, message: bytes, trusted_comment: str) -> str:
        """Return the text of a .minisig file that vouches for `message` and the comment."""
        from nacl.signing import SigningKey

        check_comment(trusted_comment)
        key = SigningKey(self.seed)
        signature = key.sign(minisign.prehash(message)).signature
        over_comment = key.sign(signature + trusted_comment.encode()).signature
        return Signature(self.key_id, signature, trusted_comment, over_comment).encode()


def check_comment(comment: str) -> None:
    """Raise UsageError when `comment` cannot be the trusted comment of a signature."""
    if any(category(character) in NO_TEXT for character in comment if character != "\t"):
        raise UsageError(
            f"the comment {comment[:40]!r} is not one line of plain text",
            hint="leave out line breaks and control characters",
        )
    if (size := len(comment.encode())) > bounds.COMMENT:
        raise UsageError(
            f"the comment has {size} bytes, at most {bounds.COMMENT}", hint="make it shorter"
        )


def ask(question: str) -> str:
    """Return the password from the environment, or ask for it on the terminal, unseen."""
    if (password := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return password
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would be seen while typed
        try:
            return getpass.getpass(question)
        except (getpass.GetPassWarning, EOFError) as exc:
            raise UsageError(
                "the secret key has a password, and nobody is there to give it",
                hint=f"run it on a terminal, or set {PASSWORD_VARIABLE}",
            ) from exc


def _parse(path: str | os.PathLike[str], text: bytes) -> tuple[bytes, bytes, int, int, bytes]:
    """Return how a secret key is locked (kind, salt, operations, memory) and what is."""
    try:
        found = minisign.lines(text, "secret key", HINT)
        if found[0].startswith(UNTRUSTED):
            del found[0]
        if len(found) != 1:
            raise PayloadError(
                f"the secret key has {len(found)} lines besides a comment, expected 1", hint=HINT
            )
        packed = minisign.decode(found[0], SECRET.size, HINT)
    except PayloadError as exc:
        raise UsageError(f"{path}: {exc.problem}", hint=exc.hint) from exc
    algorithm, kind, checksum, salt, operations, memory, locked = SECRET.unpack(packed)
    if (algorithm, checksum) != (ALGORITHM, BLAKE2B) or kind not in (NO_PASSWORD, SCRYPT):
        raise UsageError(
            f"{path} is for algorithms {algorithm!r}, {kind!r} and {checksum!r}, expected "
            f"{ALGORITHM!r}, {SCRYPT!r} or {NO_PASSWORD!r}, and {BLAKE2B!r}",
            hint=HINT,
        )
    if kind == SCRYPT and (operations > bounds.KEY_OPERATIONS or memory > bounds.KEY_MEMORY):
        raise UsageError(
            f"{path} asks for {memory} bytes of memory and {operations} operations to check its "
            f"password, at most {bounds.KEY_MEMORY} and {bounds.KEY_OPERATIONS}",
            hint=f"it was not made by minisign, or is damaged: {DAMAGED}",
        )
    return kind, salt, operations, memory, locked


def _stretch(
    path: str | os.PathLike[str], password: str, salt: bytes, operations: int, memory: int
) -> bytes:
    """Return the bytes that a password unlocks a key with; this takes seconds by design."""
    from nacl import exceptions
    from nacl.pwhash import scrypt

    secret = password.encode("utf-8", "surrogateescape")  # a variable may hold what is no text
    try:
        return scrypt.kdf(LOCKED.size, secret, salt, operations, memory)
    except exceptions.ValueError as exc:
        raise UsageError(
            f"{path} is damaged: {memory} bytes of memory and {operations} operations cannot be "
            "what its password was locked with",
            hint=DAMAGED,
        ) from exc
    except (exceptions.RuntimeError, MemoryError) as exc:
        raise AppError(
            f"checking the password of {path} takes {memory >> 20} MiB of memory, more than there "
            "is",
            hint="close other programs, or sign on a larger machine",
        ) from exc
