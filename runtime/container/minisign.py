"""Read public keys and signatures as minisign writes them, and verify one with the other.

Source: https://jedisct1.github.io/minisign/, "Signature format" and "Public key format". Texts of
lines, a signature for example:

    untrusted comment: signature by modelembed
    RUToxTBp+NG9…                           algorithm, key id and signature of the content
    trusted comment: chat 1.0
    8pErQVnLVfnw…                           signature of that signature and the trusted comment

The first line is not signed: nothing may depend on what it says.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass

from runtime import bounds
from runtime.errors import PayloadError

KEY = struct.Struct("<2sQ32s")  # algorithm, key id, Ed25519 public key
SIGNATURE = struct.Struct("<2sQ64s")  # algorithm, key id, Ed25519 signature
ALGORITHM = b"Ed"  # of keys, and of signatures of the content itself, which are "legacy"
PREHASHED = b"ED"  # of signatures of the content's BLAKE2b-512

UNTRUSTED = "untrusted comment: "
TRUSTED = "trusted comment: "

KINDS = {42: "a public key", 64: "a signature of a comment", 74: "a signature", 158: "a secret key"}
"""What a line of base64 is, by the number of bytes it stands for."""

KEY_HINT = "give the .pub file that `minisign -G` wrote, or the second of its two lines"
SIGNATURE_HINT = "get the signature again; it is the .minisig file, four lines of text"
CONTENT_HINT = "do not use it: it was changed or damaged after it was signed; get it again"


@dataclass(frozen=True)
class PublicKey:
    """The half of a key pair that verifies."""

    key_id: int
    """Random; only tells keys apart."""
    ed25519: bytes

    @property
    def name(self) -> str:
        """Return the key id as minisign shows it."""
        return show(self.key_id)

    def encode(self) -> str:
        """Return the line of base64 that `minisign -P` takes."""
        return base64.b64encode(KEY.pack(ALGORITHM, self.key_id, self.ed25519)).decode()

    @classmethod
    def parse(cls, text: str | bytes) -> PublicKey:
        """Return the key in a .pub file's text, or in its line of base64 alone."""
        found = lines(text, "public key", KEY_HINT)
        if found[0].startswith(UNTRUSTED):
            del found[0]
        if len(found) != 1:
            raise PayloadError(
                f"the public key has {len(found)} lines besides a comment, expected 1",
                hint=KEY_HINT,
            )
        algorithm, key_id, ed25519 = KEY.unpack(decode(found[0], KEY.size, KEY_HINT))
        if algorithm != ALGORITHM:
            raise PayloadError(
                f"the public key is for algorithm {algorithm!r}, expected {ALGORITHM!r}",
                hint=KEY_HINT,
            )
        return cls(key_id, ed25519)


@dataclass(frozen=True)
class Signature:
    """What somebody signed with which key, and what they said about it."""

    key_id: int
    ed25519: bytes
    """Of the content, or of its hash."""
    trusted_comment: str
    """One line; it may hold control characters, which a terminal must not see."""
    comment_ed25519: bytes
    """Of `ed25519` and the trusted comment, so that neither goes with another."""
    prehashed: bool = True
    untrusted_comment: str = "signature by modelembed"

    @property
    def name(self) -> str:
        """Return the id of the key that made it, as minisign shows it."""
        return show(self.key_id)

    def encode(self) -> str:
        """Return the four lines of a .minisig file."""
        algorithm = PREHASHED if self.prehashed else ALGORITHM
        packed = SIGNATURE.pack(algorithm, self.key_id, self.ed25519)
        return (
            f"{UNTRUSTED}{self.untrusted_comment}\n{base64.b64encode(packed).decode()}\n"
            f"{TRUSTED}{self.trusted_comment}\n{base64.b64encode(self.comment_ed25519).decode()}\n"
        )

    @classmethod
    def parse(cls, text: str | bytes) -> Signature:
        """Return the signature in a .minisig file's text; it is not verified yet."""
        found = lines(text, "signature", SIGNATURE_HINT)
        if len(found) != 4:
            raise PayloadError(
                f"the signature has {len(found)} lines, expected 4", hint=SIGNATURE_HINT
            )
        for number, prefix in ((0, UNTRUSTED), (2, TRUSTED)):
            if not found[number].startswith(prefix):
                raise PayloadError(
                    f"line {number + 1} of the signature starts with {found[number][:20]!r}, "
                    f"expected {prefix!r}",
                    hint=SIGNATURE_HINT,
                )
        comment = found[2][len(TRUSTED) :]
        if (size := len(comment.encode())) > bounds.COMMENT:
            raise PayloadError(
                f"the trusted comment has {size} bytes, at most {bounds.COMMENT}",
                hint=SIGNATURE_HINT,
            )
        packed = decode(found[1], SIGNATURE.size, SIGNATURE_HINT)
        algorithm, key_id, ed25519 = SIGNATURE.unpack(packed)
        if algorithm not in (ALGORITHM, PREHASHED):
            raise PayloadError(
                f"the signature is of algorithm {algorithm!r}, expected {PREHASHED!r} or "
                f"{ALGORITHM!r}",
                hint=SIGNATURE_HINT,
            )
        return cls(
            key_id,
            ed25519,
            comment,
            decode(found[3], 64, SIGNATURE_HINT),
            algorithm == PREHASHED,
            found[0][len(UNTRUSTED) :],
        )


def verify(key: PublicKey, signature: Signature, message: bytes) -> None:
    """Raise PayloadError unless `key` signed `message` and the trusted comment."""
    if signature.key_id != key.key_id:
        raise PayloadError(
            f"the signature was made with key {signature.name}, expected key {key.name}",
            hint="give the public key of who signed it, if you trust them",
        )
    signed = prehash(message) if signature.prehashed else message
    if not _signed(key, signature.ed25519, signed):
        raise PayloadError(
            f"the content is not what key {key.name} signed: its signature does not match",
            hint=CONTENT_HINT,
        )
    with_comment = signature.ed25519 + signature.trusted_comment.encode()
    if not _signed(key, signature.comment_ed25519, with_comment):
        raise PayloadError(
            f"the trusted comment is not what key {key.name} signed: its signature does not match",
            hint=SIGNATURE_HINT,
        )


def prehash(message: bytes) -> bytes:
    """Return what is signed in place of `message`: its BLAKE2b-512."""
    return hashlib.blake2b(message).digest()


def show(key_id: int) -> str:
    """Return a key id as minisign shows it."""
    return f"{key_id:X}"


def lines(text: str | bytes, what: str, hint: str) -> list[str]:
    """Return the lines of a small text, at least one; line ends of any system are none of them."""
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > bounds.SIGNATURE:
            raise PayloadError(f"the {what} has more than {bounds.SIGNATURE} bytes", hint=hint)
        decoded = data.decode()
    except UnicodeError as exc:
        raise PayloadError(f"the {what} is not UTF-8 text", hint=hint) from exc
    return [line.rstrip("\r") for line in decoded.rstrip("\r\n").split("\n")]


def decode(line: str, size: int, hint: str) -> bytes:
    """Return the `size` bytes that a line of base64 stands for.

    The line is not quoted when it is wrong: it may be of a secret key.
    """
    try:
        data = base64.b64decode(line, validate=True)
    except ValueError as exc:
        raise PayloadError(f"expected {KINDS[size]}, found no base64", hint=hint) from exc
    if len(data) != size:
        found = KINDS.get(len(data), "something else")
        raise PayloadError(
            f"expected {KINDS[size]}, found {found}: {len(data)} bytes, not {size}", hint=hint
        )
    if base64.b64encode(data).decode() != line:  # two texts must not be one signature
        raise PayloadError(f"expected {KINDS[size]}, found damaged base64", hint=hint)
    return data


def _signed(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` is one of `data` by `key`."""
    from nacl.exceptions import BadSignatureError  # late: who verifies nothing need not load it
    from nacl.signing import VerifyKey

    try:
        VerifyKey(key.ed25519).verify(data, signature)
    except BadSignatureError:
        return False
    return True
