"""Indexes that lie or are damaged: refused with what is wrong, never a crash."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable
from typing import Any

import indexes
import pytest
import zstandard
from indexes import LIBRARY, Paper, encoded, opened, survey

from runtime import bounds
from runtime.errors import AppError, PayloadError
from runtime.search.content import Hit
from runtime.search.index import Index
from runtime.search.passages import passages
from runtime.search.section import exported

SOUND = encoded(facts={"embedder": "none"})
HEAD = 4096


def head_of(data: bytes = SOUND) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(data.partition(b"\n")[0])
    return head


def with_head(**changes: Any) -> bytes:
    """Return the sound index with other values in its head."""
    line = json.dumps({**head_of(), **changes}).encode()
    return line.ljust(HEAD - 1) + b"\n" + SOUND[HEAD:]


def with_area(name: str, content: bytes) -> bytes:
    """Return the sound index with another content of an area, behind all others."""
    at = -(-len(SOUND) // 64) * 64
    data = with_head(areas={**head_of()["areas"], name: [at, len(content)]})
    return data.ljust(at, b"\0") + content


def area(name: str, data: bytes = SOUND) -> bytes:
    offset, length = head_of(data)["areas"][name]
    return data[offset : offset + length]


def patched(name: str, at: int, content: bytes) -> bytes:
    """Return the sound index with other bytes in an area."""
    offset, _ = head_of()["areas"][name]
    return SOUND[: offset + at] + content + SOUND[offset + at + len(content) :]


def test_a_sound_index_survives_all_that_is_done_to_it() -> None:
    survey(SOUND)


@pytest.mark.parametrize("length", [0, 1, 100, HEAD - 1, HEAD, HEAD + 1, len(SOUND) - 1])
def test_a_cut_index_is_refused(length: int) -> None:
    with pytest.raises(PayloadError, match="the index cannot be searched"):
        opened(SOUND[:length])


def test_a_file_that_is_cut_is_refused() -> None:
    fd = os.memfd_create("cut")
    try:
        os.write(fd, SOUND[:-100])
        index = Index(fd, 0, len(SOUND))
        with pytest.raises(PayloadError, match="the file ends before it does"):
            index.nearest([1.0] * 12, 5)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "head",
    [
        b"", b"{", b"[]\n", b"null\n", b"{}\n", b'"a"\n', b"\xff\n", b"[" * 100_000 + b"\n",
        b"GGUF" + bytes(100),
    ],
)  # fmt: skip
def test_what_is_no_head_is_refused(head: bytes) -> None:
    with pytest.raises(PayloadError):
        opened(head.ljust(HEAD))


def test_a_head_of_more_than_the_bound_is_none() -> None:
    most = bounds.INDEX_HEAD
    areas = {name: [offset + most - HEAD, n] for name, (offset, n) in head_of()["areas"].items()}
    line = json.dumps({**head_of(), "areas": areas}).encode()
    opened(line.ljust(most - 1) + b"\n" + SOUND[HEAD:])
    with pytest.raises(PayloadError, match="it does not begin with its head"):
        opened(line.ljust(most) + b"\n" + SOUND[HEAD:])


@pytest.mark.parametrize("form", [0, 2, "1", None])
def test_another_form_is_refused(form: object) -> None:
    with pytest.raises(PayloadError, match=r"is an index of form .*; this program reads 1"):
        opened(with_head(form=form))


def test_other_rules_for_words_are_refused() -> None:
    with pytest.raises(PayloadError, match="was made by other rules for words, 2 in place of 1"):
        opened(with_head(rules=2))


@pytest.mark.parametrize("name", ["documents", "pieces", "terms", "tokens", "dimensions", "rules"])
@pytest.mark.parametrize("value", [-1, 1.5, "1", None, True, 1 << 70, 1 << 40])
def test_a_count_that_is_none_or_wrong_is_refused(name: str, value: object) -> None:
    if name == "tokens" and value == 1 << 40:
        return  # nothing says how many there are
    with pytest.raises(PayloadError):
        opened(with_head(**{name: value}))


@pytest.mark.parametrize("facts", [None, [], {"embedder": 1}, {"a": None}])
def test_facts_that_are_no_texts_are_refused(facts: object) -> None:
    with pytest.raises(PayloadError, match="its facts are no texts"):
        opened(with_head(facts=facts))


@pytest.mark.parametrize("name", head_of()["areas"])
@pytest.mark.parametrize(
    "place",
    [None, [], [64], [1, 1], [-64, 64], [0, -1], [1 << 62, 64], [64, 1 << 62], ["0", 0], [True, 1]],
)
def test_an_area_elsewhere_is_refused(name: str, place: object) -> None:
    with pytest.raises(PayloadError, match=f"its area '{name}'"):
        opened(with_head(areas={**head_of()["areas"], name: place}))


@pytest.mark.parametrize("areas", [None, {}, [], {"vectors": [0, 0]}])
def test_areas_that_are_missing_are_refused(areas: object) -> None:
    with pytest.raises(PayloadError, match="its areas are not those of an index"):
        opened(with_head(areas=areas))


def test_more_dimensions_than_the_bound_are_refused() -> None:
    more = bounds.VECTOR_DIMENSIONS + 1

    with pytest.raises(PayloadError, match=f"its vectors have {more} dimensions"):
        opened(with_head(dimensions=more))


def test_a_label_beyond_the_bound_is_refused() -> None:
    most = bounds.INDEX_LABEL
    for length in (most, most + 1):
        pool = struct.pack("<II", 1, length) + b"a" * length
        index = opened(with_area("paths", pool))
        if length == most:
            assert "a" * most == index.document(0).path
        else:
            with pytest.raises(PayloadError, match=f"a short text has {length:,} bytes"):
                index.document(0)


def test_a_label_that_is_too_long_is_cut_when_it_is_written() -> None:
    title = "é" * bounds.INDEX_LABEL
    index = opened(encoded([Paper("a.txt", "text", title=title)]))

    assert "é" * (bounds.INDEX_LABEL // 2) == index.document(0).title


def test_a_text_beyond_the_bound_is_refused() -> None:
    row = bytearray(area("documents"))
    struct.pack_into("<Q", row, 32, bounds.INDEX_TEXT + 1)
    index = opened(with_area("documents", bytes(row)))

    with pytest.raises(PayloadError, match="a document has another place than it may have"):
        index.document_text(0)


def test_documents_that_share_their_text_are_refused() -> None:
    rows = area("documents")[:40] * 4
    index = opened(with_area("documents", rows))

    with pytest.raises(PayloadError, match="a document has another place than it may have"):
        index.document_text(1)


BLOCK = 64 << 10


def blocks(*frames: bytes) -> bytes:
    """Return the sound index with these blocks of text."""
    data = with_area("texts", b"".join(frames))
    places, at = struct.pack("<Q", 0), 0
    for frame in frames:
        at += len(frame)
        places += struct.pack("<Q", at)
    start = -(-len(data) // 64) * 64
    areas = {**head_of(data)["areas"], "blocks": [start, len(places)]}
    line = json.dumps({**head_of(data), "areas": areas}).encode()
    return (line.ljust(HEAD - 1) + b"\n" + data[HEAD:]).ljust(start, b"\0") + places


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"", "a block of text cannot be unpacked"),
        (b"no frame", "a block of text cannot be unpacked"),
        (zstandard.compress(bytes(BLOCK + 1)), "has another size than it may have"),
        (zstandard.compress(bytes(1 << 30)), "has another size than it may have"),
        (zstandard.compress(b""), "has another size than it may have"),
        (zstandard.compress(bytes(10)), "a text ends too soon"),
        (zstandard.compress(b"\xff" * BLOCK), "a text is none"),
        (
            zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 999),
            "has another size than it may have",
        ),
    ],
)
def test_blocks_that_are_none_are_refused(frame: bytes, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        opened(blocks(frame)).document_text(0)


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (b"", "a list of texts ends too soon"),
        (b"\1\0\0", "a list of texts ends too soon"),
        (struct.pack("<I", 0xFFFFFFFF), "a list of texts ends too soon"),
        (struct.pack("<I", 0), "a list of 0 texts has no number 0"),
        (struct.pack("<II", 1, 5) + b"abc", "a list of texts is out of order"),
        (struct.pack("<III", 2, 3, 1) + b"abc", ""),
        (struct.pack("<II", 1, 2) + b"\xff\xff", "a text is none"),
    ],
)
def test_lists_of_texts_that_are_none_are_refused(pool: bytes, message: str) -> None:
    index = opened(with_area("kinds", pool))
    if not message:
        assert "abc" == index.document(0).kind
        return
    with pytest.raises(PayloadError, match=message):
        index.document(0)


@pytest.mark.parametrize(
    ("name", "at", "content", "attempt"),
    [
        ("documents", 0, b"\xff" * 4, lambda index: index.document(0)),  # its path
        ("documents", 16, b"\xff" * 4, lambda index: index.document(0)),  # its first piece
        ("documents", 24, b"\xff" * 8, lambda index: index.document_text(0)),
        ("documents", 32, b"\xff" * 8, lambda index: index.document_text(0)),
        ("pieces", 0, b"\xff" * 4, lambda index: index.text(0)),  # its document
        ("pieces", 0, b"\xff" * 4, lambda index: passages(index, [Hit(0, 1.0)], 1)),
        ("pieces", 12, b"\xff" * 4, lambda index: index.piece(0)),  # its heading
        ("pieces", 24, b"\xff" * 4, lambda index: index.text(0)),  # where it begins
        ("pieces", 28, b"\xff" * 4, lambda index: index.text(0)),  # where it ends
        ("places", 8, b"\xff" * 640, lambda index: index.keywords("200 garden rain", 1)),
        ("lists", 0, b"\xff" * 20, lambda index: index.keywords("200 1 2023", 1)),
        ("blocks", 8, b"\xff" * 8, lambda index: index.text(0)),
    ],
)
def test_places_elsewhere_are_refused(
    name: str, at: int, content: bytes, attempt: Callable[[Index], object]
) -> None:
    index = opened(patched(name, at, content))

    with pytest.raises(PayloadError, match="the index cannot be searched: "):
        attempt(index)


@pytest.mark.parametrize("number", [-1, 8, 1 << 40])
def test_what_is_not_there_is_refused(number: int) -> None:
    index = opened(SOUND)

    for attempt in (index.piece, index.text, index.vector):
        with pytest.raises(PayloadError, match="it has no piece"):
            attempt(number)
    with pytest.raises(PayloadError, match="it has no document"):
        index.document(number)


def test_terms_out_of_order_find_less_and_crash_nothing() -> None:
    terms = area("terms")
    (count,) = struct.unpack_from("<I", terms)
    begin = 4 + 4 * count
    index = opened(with_area("terms", terms[:begin] + terms[begin:][::-1]))

    index.keywords("京都 garden", 5)


@pytest.mark.parametrize("step", range(4))
def test_any_byte_may_be_wrong(step: int) -> None:
    for at in range(step * 5, len(SOUND), 20):
        data = bytearray(SOUND)
        data[at] ^= 0xFF
        with contextlib.suppress(AppError):
            survey(bytes(data))


def test_an_index_with_as_many_documents_as_there_are_bytes_is_listed_in_parts() -> None:
    papers = [Paper("a", "x") for _ in range(300)]
    lines = b"".join(exported(opened(encoded(papers, dimensions=0)))).splitlines()

    assert 300 == len(lines)
    assert {"a"} == {json.loads(line)["path"] for line in lines}


def test_what_is_exported_is_what_was_put_in() -> None:
    lines = b"".join(exported(opened(SOUND))).splitlines()

    for line, paper in zip(lines, LIBRARY, strict=True):
        found = json.loads(line)
        assert (paper.path, paper.text, paper.title) == (
            found["path"],
            found["text"],
            found["title"],
        )
        assert [(cut.begin, cut.end, cut.page) for cut in indexes.cuts(paper)] == [
            (piece["begin"], piece["end"], piece["page"]) for piece in found["pieces"]
        ]
