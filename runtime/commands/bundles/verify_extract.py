"""`verify` and `extract`: check a bundle's hashes and signature, write a section's original."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import bounds
from runtime.container import bundle_file, integrity, second_models
from runtime.container.bundle_file import Bundle
from runtime.container.hashing import Hasher, hash_of
from runtime.container.layout import Section
from runtime.errors import CacheError, PayloadError, UsageError
from runtime.host import atomic_write, progress_bar
from runtime.host.atomic_write import require_new
from runtime.host.progress_bar import progress
from runtime.sanitize import plain
from runtime.units import counted, gigabytes
from runtime.weights import model_cache
from runtime.weights.decompress import original_chunks

if TYPE_CHECKING:  # most bundles are not signed
    from runtime.container.minisign import PublicKey

MANIFEST = "manifest"
NAME_MAX = 60  # characters; in UTF-8 at most 240 bytes, and file systems take 255


def verify(bundle: Bundle, key: str | None = None) -> Iterator[str]:
    """Check the whole bundle: signature, runtime, and all sections; yield remarks.

    Each section is checked as stored and, if compressed, decompressed as well; so is a copy in the
    cache. `key` is a minisign public key or the name of its file: the manifest, and through its
    hashes everything else, must be signed with it. Raise PayloadError at the first damage,
    CacheError if it is in the cached copy.
    """
    yield _signer(bundle, key)
    integrity.verify(bundle)
    for section in bundle.manifest.sections:
        with progress(f"checking {section.name}") as update:
            _verify_section(bundle, section, update)
    for section in bundle.manifest.sections:
        if entry := model_cache.find(section):
            with progress("checking the unpacked copy") as update:
                _verify_copy(entry, update)


def _verify_copy(entry: model_cache.Entry, update: progress_bar.Progress) -> None:
    """Check what --cache keeps of a section: the program takes it for the original."""
    if not model_cache.is_intact(entry, update):
        raise CacheError(f"the unpacked copy {entry.path} is damaged", hint=model_cache.CLEAR)


def _verify_section(bundle: Bundle, section: Section, update: progress_bar.Progress) -> None:
    """Compare the hashes of a section's original bytes and of its stored bytes."""
    if section.codec == "stored" or not section.coded_sha256:
        found = hash_of(original_bytes(bundle, section), section.size, update)
        bundle_file.require_hash(bundle, section, found, section.sha256)
        return
    # Side by side, as the two have about the same length: hashing is what takes the time.
    coded = bundle_file.read_chunks(bundle.fd, section.offset, section.length)
    failure: PayloadError | None = None
    done = 0
    with Hasher() as of_coded, Hasher() as of_original:
        try:
            for piece, part in zip_longest(original_bytes(bundle, section), coded, fillvalue=b""):
                of_original.update(bytes(piece))
                of_coded.update(bytes(part))
                done += len(piece)
                update(done, section.size)
        except PayloadError as exc:
            failure = exc
            for part in coded:
                of_coded.update(part)
    bundle_file.require_hash(bundle, section, of_coded.hexdigest(), section.coded_sha256)
    if failure:
        raise failure
    bundle_file.require_hash(bundle, section, of_original.hexdigest(), section.sha256)


def _signer(bundle: Bundle, key: str | None) -> str:
    """Verify the signature if `key` is given; return a remark about it."""
    from runtime.container import minisign

    public = _public_key(key) if key is not None else None
    text = bundle.signature
    if not text:
        if public:
            raise PayloadError(
                f"{bundle.path} is not signed", hint="ask for a signed one, or leave out --key"
            )
        return "not signed"
    signature = minisign.Signature.parse(text)
    comment = plain(signature.trusted_comment)
    if public is None:
        return f"signed with key {signature.name}, which was not checked: give it with --key"
    minisign.verify(public, signature, bundle.encoded_manifest)
    missing = [name for name in integrity.SIGNED if name not in bundle.manifest.stub]
    if missing and bundle.footer.pkg_length:
        raise PayloadError(
            "the signature does not cover the runtime",
            hint="sign it again with a newer release of modelembed",
        )
    return f"signed with key {signature.name}: {comment}"


def _public_key(key: str) -> PublicKey:
    """Return the public key that --key is, or names the file of."""
    from runtime.container import minisign

    path = Path(key)
    if not path.is_file() and path.suffix:  # a public key contains no dot
        raise UsageError(
            f"{key} cannot be read: there is no such file",
            hint="give a public key of minisign, or the name of its file",
        )
    return minisign.PublicKey.parse(_start(path) if path.is_file() else key)


def _start(path: Path) -> bytes:
    """Return the start of a file, enough to recognise a public key."""
    with open(path, "rb") as file:
        return file.read(bounds.SIGNATURE + 1)


def extract(bundle: Bundle, name: str, target: Path | None = None) -> str:
    """Write a section's original bytes to the new file `target`; return a sentence about it."""
    if name == MANIFEST:
        return _extract_manifest(bundle, target or Path("manifest.json"))
    section = bundle.section(name)
    if section.kind == "documents":
        return _extract_documents(bundle, section, target or Path(f"{section.name}.jsonl"))
    if target is None:
        target = Path(_file_name(bundle, section))
    with progress(f"writing {target}") as update:
        atomic_write.write_new(target, _verified(bundle, section), section.size, update)
    return f"{target}: {gigabytes(section.size)}"


def _extract_documents(bundle: Bundle, section: Section, target: Path) -> str:
    """Write the documents of an index, one in a line: their texts, and what is known about them."""
    from runtime.search.section import exported, opened

    require_new(target, force=False, hint=atomic_write.ELSEWHERE)
    with progress(f"checking {section.name}") as update:
        _verify_section(bundle, section, update)
    index = opened(bundle, section)
    size = 0

    def lines() -> Iterator[bytes]:
        nonlocal size
        for line in exported(index):
            size += len(line)
            yield line

    atomic_write.write_new(target, lines(), section.size)
    return f"{target}: {counted(index.head.documents, 'document')}, {gigabytes(size)}"


def _extract_manifest(bundle: Bundle, target: Path) -> str:
    """Write the manifest's exact bytes, and its signature beside them in minisign's format."""
    beside = Path(f"{target}.minisig")
    for path in (target, beside):  # also if unsigned: an old signature file would be misleading
        require_new(path, force=False, hint=atomic_write.ELSEWHERE)
    atomic_write.write_new(target, [bundle.encoded_manifest], len(bundle.encoded_manifest))
    if not (signature := bundle.signature):
        return f"{target}: the manifest, without a signature: the program is not signed"
    atomic_write.write_new(beside, [signature], len(signature))
    return f"{target}, {beside}: check them with `minisign -Vm {target} -P KEY`"


def original_bytes(bundle: Bundle, section: Section) -> Iterator[bytes | memoryview]:
    """Yield a part's original bytes, piece by piece; each is good until the next."""
    if section.codec == "stored":
        yield from bundle_file.read_chunks(bundle.fd, section.offset, section.size)
    else:
        yield from original_chunks(bundle, section)


def _verified(bundle: Bundle, section: Section) -> Iterator[bytes | memoryview]:
    """Yield the original bytes; raise PayloadError at the end if their hash is wrong."""
    digest = hashlib.sha256()
    for piece in original_bytes(bundle, section):
        digest.update(piece)
        yield piece
    bundle_file.require_hash(bundle, section, digest.hexdigest(), section.sha256)


def _file_name(bundle: Bundle, section: Section) -> str:
    """Return a file name for a section; names in a manifest are untrusted, so never a path."""
    if section.kind == "model":
        facts, otherwise = bundle.manifest.model, "model.gguf"
    elif section.kind in (*second_models.KINDS, "projector"):
        facts, otherwise = section.facts, f"{section.kind}.gguf"
    else:
        return section.name
    name = Path(str(facts.get("file", ""))).name
    usable = name.isprintable() and name not in ("", ".", "..") and len(name) <= NAME_MAX
    return name if usable else otherwise
