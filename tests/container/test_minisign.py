"""Signatures: what minisign makes is accepted, what we make minisign accepts, damage never is."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TESTS

from bundler.packing import signing
from bundler.packing.signing import LOCKED, SECRET, SecretKey
from runtime import bounds
from runtime.container.minisign import TRUSTED, PublicKey, Signature, verify
from runtime.errors import AppError, PayloadError, UsageError

# Made by minisign 0.11; the keys were made for this and are used for nothing else.
#   minisign -G -W -p throwaway.pub -s throwaway.key
#   minisign -G -p encrypted.pub -s encrypted.key    (under `ulimit -v 80000`: 64 MiB, not 1 GiB)
#   minisign -S -s throwaway.key -m message -x prehashed.minisig -c … -t 'release 1, für alle'
#   minisign -S -l -s throwaway.key -m message -x legacy.minisig
#   minisign -S -s encrypted.key -m message -x encrypted.minisig
GOLDEN = TESTS / "golden" / "minisign"
MESSAGE = (GOLDEN / "message").read_bytes()
PASSWORD = "throw-away"
TEXT = (GOLDEN / "prehashed.minisig").read_text(encoding="utf-8")
LEGACY_TEXT = (GOLDEN / "legacy.minisig").read_text(encoding="utf-8")
PUBLIC_TEXT = (GOLDEN / "throwaway.pub").read_text(encoding="utf-8")
SECRET_TEXT = (GOLDEN / "throwaway.key").read_text(encoding="utf-8")
BASE64 = "RWToxTBp+NG9nDOPJ4xiKP+dnZAl4luY9mYbxBmtTNsp6EdKfSCuGOt8"
KEY = PublicKey.parse(PUBLIC_TEXT)
OTHER = PublicKey.parse((GOLDEN / "encrypted.pub").read_bytes())

MINISIGN = shutil.which("minisign")
with_minisign = pytest.mark.skipif(MINISIGN is None, reason="the program minisign is not here")


def nobody(question: str) -> str:
    raise AssertionError("nobody should be asked")


@pytest.fixture(scope="session")
def secret() -> SecretKey:
    return SecretKey.load(GOLDEN / "throwaway.key", nobody)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Return a function that writes a key file."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "some.key"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def minisign(*arguments: str | Path, stdin: str = "") -> str:
    """Return what the real program says; it must be content."""
    done = subprocess.run(
        [str(MINISIGN), *map(str, arguments)], input=stdin, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(text: str | bytes, message: bytes = MESSAGE, key: PublicKey = KEY) -> PayloadError:
    """Return the error that a signature's text ends in."""
    with pytest.raises(PayloadError) as caught:
        verify(key, Signature.parse(text), message)
    assert caught.value.hint
    return caught.value


# What minisign made.


def test_public_key_is_golden() -> None:
    assert "9CBDD1F86930C5E8" == KEY.name
    assert BASE64 == KEY.encode() == PUBLIC_TEXT.split("\n")[1]
    assert KEY.name in PUBLIC_TEXT


def test_key_id_is_shown_without_leading_zeros_as_minisign_does() -> None:
    text = base64.b64encode(b"Ed\1\2\3\4\5\6\7\0" + KEY.ed25519).decode()

    assert "7060504030201" == PublicKey.parse(text).name


@pytest.mark.parametrize("text", [
    PUBLIC_TEXT, PUBLIC_TEXT.encode(), BASE64, BASE64 + "\n", PUBLIC_TEXT.replace("\n", "\r\n"),
    f"untrusted comment: \n{BASE64}",
])  # fmt: skip
def test_public_key_comes_as_a_file_or_a_line(text: str | bytes) -> None:
    assert KEY == PublicKey.parse(text)


def test_signature_is_golden() -> None:
    signature = Signature.parse(TEXT)

    assert ("9CBDD1F86930C5E8", True) == (signature.name, signature.prehashed)
    assert "a throw-away key" == signature.untrusted_comment
    assert "release 1, für alle" == signature.trusted_comment
    assert TEXT == signature.encode()
    assert LEGACY_TEXT == Signature.parse(LEGACY_TEXT).encode()


@pytest.mark.parametrize(("name", "prehashed"), [("prehashed", True), ("legacy", False)])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_signature_by_minisign_is_valid(name: str, prehashed: bool, end: str) -> None:
    text = (GOLDEN / f"{name}.minisig").read_text(encoding="utf-8").replace("\n", end)
    signature = Signature.parse(text.encode())

    assert prehashed == signature.prehashed
    verify(KEY, signature, MESSAGE)
    verify(KEY, Signature.parse(text.rstrip()), MESSAGE)


def test_signature_by_a_key_with_a_password_is_valid() -> None:
    verify(OTHER, Signature.parse((GOLDEN / "encrypted.minisig").read_bytes()), MESSAGE)


def test_untrusted_comment_is_nobodys_word() -> None:
    text = TEXT.replace("a throw-away key", "signed by somebody else")

    verify(KEY, Signature.parse(text), MESSAGE)


# Signatures that are not.


@pytest.mark.parametrize("text", [TEXT, LEGACY_TEXT], ids=["prehashed", "legacy"])
@pytest.mark.parametrize("message", [b"", MESSAGE[:-1], MESSAGE + b"\n", MESSAGE.lower()])
def test_other_message_is_refused(text: str, message: bytes) -> None:
    error = refused(text, message)

    assert "the content is not what key 9CBDD1F86930C5E8 signed" in error.problem
    assert error.hint.startswith("do not use it")


def test_hash_of_the_message_is_another_message() -> None:
    refused(TEXT, hashlib.blake2b(MESSAGE).digest())


@pytest.mark.parametrize("text", [TEXT, LEGACY_TEXT], ids=["prehashed", "legacy"])
def test_variant_cannot_be_changed(text: str) -> None:
    signature = Signature.parse(text)
    changed = dataclasses.replace(signature, prehashed=not signature.prehashed)

    assert "the content is not" in refused(changed.encode()).problem


def test_other_key_is_named() -> None:
    error = refused(TEXT, key=OTHER)

    assert (
        "the signature was made with key 9CBDD1F86930C5E8, expected key A7F35EB1482CDBDF"
        == error.problem
    )


def test_other_key_of_the_same_id_is_refused() -> None:
    error = refused(TEXT, key=dataclasses.replace(OTHER, key_id=KEY.key_id))

    assert "the content is not" in error.problem


@pytest.mark.parametrize("ed25519", [bytes(32), b"\1" + bytes(31), b"\xff" * 32])
def test_key_that_fits_everything_is_refused(ed25519: bytes) -> None:
    # A point of small order verifies forged signatures unless the library refuses it.
    forged = Signature(KEY.key_id, b"\1" + bytes(63), "x", b"\1" + bytes(63))

    refused(forged.encode(), key=PublicKey(KEY.key_id, ed25519))


def test_trusted_comment_cannot_be_changed() -> None:
    error = refused(TEXT.replace("release 1", "release 2"))

    assert "the trusted comment is not what key 9CBDD1F86930C5E8 signed" in error.problem


def test_trusted_comment_cannot_be_swapped() -> None:
    first, second = TEXT.split("\n"), LEGACY_TEXT.split("\n")

    error = refused("\n".join([*first[:2], *second[2:]]))

    assert "the trusted comment is not" in error.problem


def test_scalar_cannot_be_changed_for_an_equal_one() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = Signature.parse(TEXT)
    scalar = int.from_bytes(signature.ed25519[32:], "little") + order
    twin = signature.ed25519[:32] + scalar.to_bytes(32, "little")

    refused(dataclasses.replace(signature, ed25519=twin).encode())


@pytest.mark.parametrize("text", [TEXT, LEGACY_TEXT], ids=["prehashed", "legacy"])
@pytest.mark.parametrize("change", [0x01, 0x04, 0x20, 0x40])
def test_every_damaged_byte_that_is_signed_is_noticed(text: str, change: int) -> None:
    data = text.encode()
    for position in range(data.index(b"\n") + 1, len(data) - 1):
        refused(data[:position] + bytes([data[position] ^ change]) + data[position + 1 :])


def test_last_bits_of_base64_do_not_float() -> None:
    lines = TEXT.split("\n")
    assert lines[1].endswith("s=")
    assert lines[3].endswith("w==")

    assert "damaged base64" in refused(TEXT.replace(lines[1], lines[1][:-2] + "t=")).problem
    assert "damaged base64" in refused(TEXT.replace(lines[3], lines[3][:-3] + "x==")).problem


@pytest.mark.parametrize("missing", range(4))
def test_every_line_is_needed(missing: int) -> None:
    lines = TEXT.splitlines()
    del lines[missing]

    assert "the signature has 3 lines, expected 4" == refused("\n".join(lines)).problem
    lines.insert(missing, "")
    assert refused("\n".join(lines)).problem


def test_every_truncation_is_refused() -> None:
    data = TEXT.encode()
    for length in range(len(data) - 1):
        refused(data[:length])


@pytest.mark.parametrize(("text", "problem"), [
    ("", "the signature has 1 lines, expected 4"),
    (TEXT + "unsigned words\n", "the signature has 5 lines, expected 4"),
    ("\n" + TEXT, "the signature has 5 lines, expected 4"),
    (PUBLIC_TEXT, "the signature has 2 lines, expected 4"),
    (TEXT.replace("untrusted", "Untrusted"), "line 1 of the signature starts with 'Untrusted"),
    ("\ufeff" + TEXT, "line 1 of the signature starts with"),
    (TEXT.replace("\ntrusted comment: ", "\ntrusted comment:"), "line 3 of the signature starts"),
    (TEXT.replace("RUT", "RVT"), "of algorithm b'ET', expected b'ED' or b'Ed'"),
    (TEXT.replace("\nRU", "\n*U"), "expected a signature, found no base64"),
    (TEXT.replace("\nRU", "\nRU\u00fc"), "expected a signature, found no base64"),
    (TEXT.replace("\nRU", "\n RU"), "expected a signature, found no base64"),
    (TEXT.replace(TEXT.split("\n")[1], BASE64), "found a public key: 42 bytes, not 74"),
    (TEXT.replace(TEXT.split("\n")[3], "AAAA"), "found something else: 3 bytes, not 64"),
    (b"\xff\xfe" + TEXT.encode("utf-16-le"), "the signature is not UTF-8 text"),
    (TEXT.replace("release", "\ud800"), "the signature is not UTF-8 text"),
    (bytes(bounds.SIGNATURE + 1), f"the signature has more than {bounds.SIGNATURE} bytes"),
    (f"untrusted comment: \n\n{TRUSTED}{'c' * (bounds.COMMENT + 1)}\n\nx",
     "the signature has 5 lines, expected 4"),
    (f"untrusted comment: \n\n{TRUSTED}{'c' * (bounds.COMMENT + 1)}\nx",
     f"the trusted comment has {bounds.COMMENT + 1} bytes, at most {bounds.COMMENT}"),
])  # fmt: skip
def test_what_is_no_signature_is_named(text: str | bytes, problem: str) -> None:
    assert problem in refused(text).problem


@pytest.mark.parametrize(("text", "problem"), [
    ("", "expected a public key, found something else: 0 bytes, not 42"),
    ("untrusted comment: minisign public key", "has 0 lines besides a comment, expected 1"),
    (PUBLIC_TEXT + BASE64, "has 2 lines besides a comment, expected 1"),
    ("a comment\n" + BASE64, "has 2 lines besides a comment, expected 1"),
    (SECRET_TEXT, "expected a public key, found a secret key: 158 bytes, not 42"),
    (TEXT, "has 3 lines besides a comment, expected 1"),
    (TEXT.split("\n")[1], "expected a public key, found a signature: 74 bytes, not 42"),
    (BASE64[:-1], "expected a public key, found no base64"),
    (BASE64.replace("RWT", "RUT"), "is for algorithm b'ED', expected b'Ed'"),
    (b"\xff", "the public key is not UTF-8 text"),
    (bytes(bounds.SIGNATURE + 1), f"the public key has more than {bounds.SIGNATURE} bytes"),
])  # fmt: skip
def test_what_is_no_public_key_is_named(text: str | bytes, problem: str) -> None:
    with pytest.raises(PayloadError) as caught:
        PublicKey.parse(text)

    assert problem in caught.value.problem
    assert ".pub" in caught.value.hint


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400)))
@settings(deadline=None)
def test_any_text_is_parsed_or_refused(text: str | bytes) -> None:
    for kind in (Signature, PublicKey):
        with pytest.raises(PayloadError):
            kind.parse(text)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_any_change_is_refused_or_is_none(data: st.DataObject) -> None:
    original = TEXT.encode()
    start = data.draw(st.integers(original.index(b"\n") + 1, len(original)))
    end = data.draw(st.integers(start, len(original)))
    changed = original[:start] + data.draw(st.binary(max_size=8)) + original[end:]
    try:
        signature = Signature.parse(changed)
        verify(KEY, signature, MESSAGE)
    except PayloadError:
        return

    assert Signature.parse(TEXT) == signature  # only line ends differ


@given(
    st.integers(0, 2**64 - 1),
    st.binary(min_size=64, max_size=64),
    st.binary(min_size=64, max_size=64),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=99),
    st.booleans(),
)
@settings(deadline=None)
def test_signatures_and_keys_are_read_back(
    key_id: int, first: bytes, second: bytes, comment: str, prehashed: bool
) -> None:
    signature = Signature(key_id, first, comment, second, prehashed, comment)
    key = PublicKey(key_id, first[:32])

    assert signature == Signature.parse(signature.encode())
    assert key == PublicKey.parse(key.encode())


# Signing.


def test_secret_key_has_the_public_one(secret: SecretKey) -> None:
    assert KEY == secret.public


def test_secret_key_does_not_show_itself(secret: SecretKey) -> None:
    assert f"SecretKey(key_id={KEY.key_id})" == repr(secret)


def test_minisign_and_we_sign_alike(secret: SecretKey) -> None:
    ours = secret.sign(MESSAGE, "release 1, für alle").splitlines()

    assert "untrusted comment: signature by modelembed" == ours[0]
    assert TEXT.splitlines()[1:] == ours[1:]


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
@settings(deadline=None)
def test_what_was_signed_is_valid(secret: SecretKey, message: bytes, comment: str) -> None:
    signature = Signature.parse(secret.sign(message, comment))

    verify(KEY, signature, message)
    assert (comment, True) == (signature.trusted_comment, signature.prehashed)
    with pytest.raises(PayloadError):
        verify(KEY, signature, message + b"\0")


@pytest.mark.parametrize("comment", ["a\nb", "a\r", "a\0b", "\x1b[31m", "a\u2028b", "\ud800"])
def test_comment_must_be_one_line_of_text(secret: SecretKey, comment: str) -> None:
    with pytest.raises(UsageError, match="is not one line of plain text"):
        secret.sign(MESSAGE, comment)


@pytest.mark.parametrize("comment", ["", "timestamp:1\tfile:chat", "für alle", "一\u3000二"])
def test_comment_may_be_any_text(secret: SecretKey, comment: str) -> None:
    verify(KEY, Signature.parse(secret.sign(MESSAGE, comment)), MESSAGE)


def test_comment_must_fit(secret: SecretKey) -> None:
    verify(KEY, Signature.parse(secret.sign(MESSAGE, "c" * bounds.COMMENT)), MESSAGE)
    with pytest.raises(
        UsageError, match=f"has {bounds.COMMENT + 1} bytes, at most {bounds.COMMENT}"
    ):
        secret.sign(MESSAGE, "c" * (bounds.COMMENT - 1) + "ü")


# Secret keys with a password.


def encrypted(password: str = PASSWORD) -> SecretKey:
    return SecretKey.load(GOLDEN / "encrypted.key", lambda question: password)


def test_password_unlocks_what_minisign_locked() -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return PASSWORD

    key = SecretKey.load(GOLDEN / "encrypted.key", answer)

    assert ["password of encrypted.key: "] == asked
    assert OTHER == key.public
    golden = (GOLDEN / "encrypted.minisig").read_text(encoding="utf-8")
    comment = Signature.parse(golden).trusted_comment
    assert golden.splitlines()[1:] == key.sign(MESSAGE, comment).splitlines()[1:]


@pytest.mark.parametrize("password", ["", "Throw-away", PASSWORD + "\n", "für alle"])
def test_wrong_password_is_refused(password: str) -> None:
    with pytest.raises(AppError, match=r"the password does not unlock .*encrypted\.key") as caught:
        encrypted(password)

    assert "type it again" in caught.value.hint
    assert 1 == caught.value.exit_code


def lock(operations: int, memory: int, password: bytes = b"secret") -> str:
    """Return the text of a secret key with a password, made with the standard library's scrypt.

    Only for parameters from which libsodium takes memory / 1 KiB rounds, once.
    """
    assert operations * 32 == memory
    _, _, _, _, _, _, plain = SECRET.unpack(base64.b64decode(SECRET_TEXT.split("\n")[1]))
    plain = plain[:72] + hashlib.blake2b(b"Ed" + plain[:72], digest_size=32).digest()
    salt = bytes(range(32))
    stream = hashlib.scrypt(
        password, salt=salt, n=memory >> 10, r=8, p=1, dklen=LOCKED.size, maxmem=2 * memory
    )
    locked = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    packed = SECRET.pack(b"Ed", b"Sc", b"B2", salt, operations, memory, locked)
    return f"untrusted comment: made here\n{base64.b64encode(packed).decode()}\n"


LOCKED_TEXT = lock(1 << 15, 1 << 20)


def test_password_is_stretched_as_scrypt_says(write: Callable[[str], Path]) -> None:
    assert KEY == SecretKey.load(write(LOCKED_TEXT), lambda _: "secret").public


def test_password_may_be_any_text(write: Callable[[str], Path]) -> None:
    text = lock(1 << 15, 1 << 20, "für \udcff".encode("utf-8", "surrogateescape"))

    assert KEY == SecretKey.load(write(text), lambda _: "für \udcff").public


def changed(text: str, position: int, data: bytes) -> str:
    """Return a secret key with some of its bytes replaced."""
    raw = bytearray(base64.b64decode(text.split("\n")[1]))
    raw[position : position + len(data)] = data
    return f"untrusted comment: x\n{base64.b64encode(raw).decode()}\n"


def test_every_damaged_byte_of_a_key_with_a_password_is_noticed(
    write: Callable[[str], Path],
) -> None:
    raw = base64.b64decode(LOCKED_TEXT.split("\n")[1])
    for position in range(len(raw)):
        path = write(changed(LOCKED_TEXT, position, bytes([raw[position] ^ 0x80])))
        try:
            key = SecretKey.load(path, lambda _: "secret")
        except AppError as exc:
            assert exc.hint
        else:
            assert KEY == key.public
            assert 38 <= position < 54  # operations and memory, which scrypt rounds


@pytest.mark.parametrize(("operations", "memory"), [
    (1 << 25, bounds.KEY_MEMORY + 1), (bounds.KEY_OPERATIONS + 1, 1 << 30),
    (0, 1 << 63), (1 << 63, 0), (2**64 - 1, 2**64 - 1),
])  # fmt: skip
def test_greedy_key_is_refused_before_the_password(
    write: Callable[[str], Path], operations: int, memory: int
) -> None:
    path = write(changed(LOCKED_TEXT, 38, struct.pack("<QQ", operations, memory)))

    with pytest.raises(UsageError, match=f"asks for {memory} bytes of memory and {operations} op"):
        SecretKey.load(path, nobody)


@pytest.mark.parametrize("operations", [0, 1 << 15, bounds.KEY_OPERATIONS])
@pytest.mark.parametrize("memory", [0, 1, 1 << 10, 1 << 14])
def test_senseless_parameters_are_refused(
    write: Callable[[str], Path], operations: int, memory: int
) -> None:
    path = write(changed(LOCKED_TEXT, 38, struct.pack("<QQ", operations, memory)))

    with pytest.raises(AppError, match=r"is damaged|does not unlock"):
        SecretKey.load(path, lambda _: "secret")


def test_lack_of_memory_is_explained() -> None:
    code = (
        "import resource, sys\n"
        "from bundler.packing.signing import SecretKey\n"
        "from nacl.pwhash import scrypt\n"
        "from runtime.errors import AppError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20),) * 2)\n"
        "try: SecretKey.load(sys.argv[1], lambda _: 'x')\n"
        "except AppError as exc: print(exc.render())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN / "encrypted.key")], capture_output=True, text=True
    )

    assert ("", 0) == (done.stderr, done.returncode)
    assert "takes 64 MiB of memory, more than there is\n\nhint: close other" in done.stdout


# Secret keys that are not.


@pytest.mark.parametrize("position", [54, 62, 93, 94, 125, 126, 157])
def test_damaged_key_without_a_password_is_refused(
    write: Callable[[str], Path], position: int
) -> None:
    # With its checksum, as `minisign -C -W` leaves it; `minisign -G -W` writes zeros instead.
    raw = base64.b64decode(SECRET_TEXT.split("\n")[1])
    checksum = hashlib.blake2b(b"Ed" + raw[54:126], digest_size=32).digest()
    text = changed(SECRET_TEXT, 126, checksum)
    assert KEY == SecretKey.load(write(text), nobody).public
    raw = base64.b64decode(text.split("\n")[1])

    path = write(changed(text, position, bytes([raw[position] ^ 1])))
    with pytest.raises(UsageError, match="is damaged: its parts do not belong together"):
        SecretKey.load(path, nobody)


@pytest.mark.parametrize("position", range(62, 126, 3))
def test_damaged_key_without_a_checksum_is_refused(
    write: Callable[[str], Path], position: int
) -> None:
    # A wrong public half would let a signature give the secret half away.
    raw = base64.b64decode(SECRET_TEXT.split("\n")[1])

    path = write(changed(SECRET_TEXT, position, bytes([raw[position] ^ 1])))
    with pytest.raises(UsageError, match="is damaged: its parts do not belong together"):
        SecretKey.load(path, nobody)


@pytest.mark.parametrize(("content", "problem"), [
    (PUBLIC_TEXT, "expected a secret key, found a public key: 42 bytes, not 158"),
    (TEXT, "the secret key has 3 lines besides a comment, expected 1"),
    ("", "expected a secret key, found something else: 0 bytes, not 158"),
    (SECRET_TEXT[:-10], "expected a secret key, found"),
    (SECRET_TEXT.replace("\nRW", "\n?W"), "expected a secret key, found no base64"),
    (SECRET_TEXT.replace("\nRWQ", "\nRWR"), "is for algorithms b'Ed', b'@\\x00' and b'B2'"),
    (SECRET_TEXT.replace("\nRWQ", "\nRXQ"), "is for algorithms b'Et', b'\\x00\\x00' and b'B2'"),
    (b"GGUF\3\0\0\0\xff", "the secret key is not UTF-8 text"),
    (bytes(1 << 20), f"the secret key has more than {bounds.SIGNATURE} bytes"),
])  # fmt: skip
def test_what_is_no_secret_key_is_named(
    write: Callable[[str | bytes], Path], content: str | bytes, problem: str
) -> None:
    path = write(content)
    with pytest.raises(UsageError) as caught:
        SecretKey.load(path, nobody)

    assert caught.value.problem.startswith(str(path))
    assert problem in caught.value.problem
    assert caught.value.hint


def test_secret_is_never_in_a_message(write: Callable[[str], Path]) -> None:
    line = SECRET_TEXT.split("\n")[1]
    for position in range(len(line)):
        text = line[:position] + "*" + line[position + 1 :]
        with pytest.raises(UsageError) as caught:
            SecretKey.load(write(text), nobody)
        assert line[75:95] not in caught.value.render()


@pytest.mark.parametrize(("name", "problem"), [("missing", "No such file"), ("", "Is a directory")])
def test_file_that_cannot_be_read(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be read: {problem}"):
        SecretKey.load(tmp_path / name, nobody)


# Asking for the password.


def test_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELEMBED_KEY_PASSWORD", PASSWORD)

    assert OTHER == SecretKey.load(GOLDEN / "encrypted.key").public


ASK = "from bundler.packing.signing import ask; print([ask('password of a key: ')])"


def clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != signing.PASSWORD_VARIABLE}


@pytest.fixture
def terminal() -> Iterator[pexpect.spawn[str]]:
    child = pexpect.spawn(
        sys.executable, ["-c", ASK], encoding="utf-8", timeout=60, env=clean()
    )  # fmt: skip
    yield child
    child.close(force=True)


def test_password_is_asked_for_unseen(terminal: pexpect.spawn[str]) -> None:
    terminal.expect_exact("password of a key: ")
    terminal.sendline("für mich")
    terminal.expect_exact("['für mich']")

    assert "für" not in (terminal.before or "")


def test_no_answer_is_no_password(terminal: pexpect.spawn[str]) -> None:
    terminal.expect_exact("password of a key: ")
    terminal.sendeof()
    terminal.expect_exact("the secret key has a password, and nobody is there")


def test_no_terminal_is_no_password() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK],
        input="typed into a pipe\n",
        capture_output=True,
        text=True,
        env=clean(),
        start_new_session=True,  # no terminal to open either
    )

    assert "UsageError: the secret key has a password, and nobody is there" in done.stderr
    assert "" == done.stdout


def test_library_is_loaded_by_who_verifies() -> None:
    code = "import sys, bundler.packing.signing, runtime.container.minisign as m\n"
    code += "m.PublicKey.parse(sys.argv[1])\n"
    code += "m.Signature.parse(open(sys.argv[2], 'rb').read()); print('nacl' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, BASE64, str(GOLDEN / "prehashed.minisig")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "False\n" == done.stdout


# The real program.


@with_minisign
@pytest.mark.parametrize("key", ["throwaway", "encrypted"])
@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(range(256)) * 5000])
@pytest.mark.parametrize("comment", ["", "für alle\tfile:chat", "c" * bounds.COMMENT])
def test_minisign_accepts_what_we_sign(
    tmp_path: Path, key: str, message: bytes, comment: str
) -> None:
    secret = SecretKey.load(GOLDEN / f"{key}.key", lambda _: PASSWORD)
    path = tmp_path / "chat"
    path.write_bytes(message)
    (tmp_path / "chat.minisig").write_text(secret.sign(message, comment), encoding="utf-8")

    for given_key in (["-P", secret.public.encode()], ["-p", GOLDEN / f"{key}.pub"]):
        assert comment + "\n" == minisign("-V", "-H", "-Q", "-m", path, *given_key)


@with_minisign
@pytest.mark.parametrize("legacy", [False, True])
def test_we_accept_what_minisign_signs(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "chat"
    path.write_bytes(MESSAGE)
    minisign("-G", "-W", "-s", tmp_path / "new.key", "-p", tmp_path / "new.pub")
    minisign("-S", *["-l"] * legacy, "-s", tmp_path / "new.key", "-m", path, "-t", "für alle")

    key = PublicKey.parse((tmp_path / "new.pub").read_bytes())
    signature = Signature.parse((tmp_path / "chat.minisig").read_bytes())
    verify(key, signature, MESSAGE)
    assert (not legacy, "für alle") == (signature.prehashed, signature.trusted_comment)
    assert key == SecretKey.load(tmp_path / "new.key", nobody).public


@with_minisign
def test_minisign_unlocks_what_we_unlock(tmp_path: Path, write: Callable[[str], Path]) -> None:
    minisign("-R", "-s", write(LOCKED_TEXT), "-p", tmp_path / "pub", stdin="secret\n")

    assert KEY == PublicKey.parse((tmp_path / "pub").read_text())


@with_minisign
def test_password_that_minisign_takes_off(tmp_path: Path) -> None:
    path = tmp_path / "key"
    shutil.copy(GOLDEN / "encrypted.key", path)
    minisign("-C", "-W", "-s", path, stdin=f"{PASSWORD}\n")

    assert encrypted() == SecretKey.load(path, nobody)
