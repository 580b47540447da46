"""Pictures of strangers: what is taken, and that hostile files get an error that says why."""

from __future__ import annotations

import math
import struct
import time
import tracemalloc
import zlib
from hashlib import sha256

import pytest
from encoded_pictures import bmp, chunk, exif, frame, gif, head, jpeg, png, scan, segment
from encoded_sounds import wav
from hostile_pictures import AREA, OPENED, REFUSED, SVG, box, noise

from runtime import bounds
from runtime.errors import AppError, MediaError
from runtime.media.kinds import Patience, read_media, require_few, require_room
from runtime.media.picture import Picture, read_picture


def refused(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        read_picture(data)
    assert caught.value.hint
    return caught.value.problem


@pytest.mark.parametrize(
    ("data", "name", "width", "height"),
    [(png(12, 9), "png", 12, 9), (jpeg(24, 16), "jpeg", 24, 16), (gif(10, 6), "gif", 10, 6),
     (bmp(7, -5), "bmp", 7, 5)],
)  # fmt: skip
def test_a_picture_says_what_it_is(data: bytes, name: str, width: int, height: int) -> None:
    digest = sha256(data[: len(data) - (name == "gif")]).hexdigest()
    taken = data[:-1] if name == "gif" else data  # the last byte of a GIF is no picture's

    assert Picture(taken, name, width, height, digest) == read_picture(data)


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_picture_is_refused(name: str) -> None:
    begin = time.process_time()

    assert refused(REFUSED[name])
    assert time.process_time() - begin < 2


def test_there_are_hostile_pictures_enough() -> None:
    assert len(REFUSED) >= 200


@pytest.mark.parametrize("name", OPENED)
def test_a_strange_picture_is_looked_through(name: str) -> None:
    assert read_picture(OPENED[name]).width


def test_noise_is_taken_or_refused() -> None:
    for data in noise(3000).values():
        try:
            read_picture(data)
        except AppError as exc:
            assert isinstance(exc, MediaError)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (SVG, "an SVG drawing was found; a picture in PNG, JPEG, GIF or BMP was expected"),
        (box(b"heic"), "a HEIC picture was found"),
        (box(b"avif"), "an AVIF picture was found"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture was found"),
        (b"%PDF-1.7", "a PDF document was found"),
        (
            b"\x1b]0;owned\x07",
            "a file was found that begins with the bytes 1b 5d 30 3b 6f 77 6e 65;",
        ),
        (b"\xfd\x9e+", "a file was found that begins with the bytes fd 9e 2b;"),
        (b"# modelembed\n", "a text was found that begins with '# modele';"),
        ("Grüße".encode() * 400, "a text was found that begins with 'GrüßeG'"),
        (b"", "the file is empty; a picture"),
        (wav(), "a sound was found; a picture"),
        (jpeg()[:-20], "it ends within its pixels"),
        (REFUSED["PNG: a bomb"], "unpacks to more than its pixels"),
        (REFUSED["PNG: Apple's own"], "a PNG in Apple's own form"),
    ],
)
def test_the_error_says_what_was_found(data: bytes, says: str) -> None:
    assert says in refused(data)


def test_what_follows_a_picture_is_not_decoded() -> None:
    for whole in (png(), jpeg()):
        assert whole == read_picture(whole + b"PK\3\4" + bytes(1000)).data
    first = gif()[:-1]
    assert first == read_picture(gif(frames=9)).data


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_how_a_camera_was_held_is_read(orientation: int, order: str) -> None:
    noted = exif(orientation, order=order)

    assert orientation == read_picture(jpeg(before=segment(0xE1, b"Exif\0\0" + noted))).orientation
    assert orientation == read_picture(png(before=[chunk(b"eXIf", noted)])).orientation


@pytest.mark.parametrize(
    "noted",
    [b"", b"MM\0*", exif(0), exif(9), exif(65_535), exif(6, kind=4), exif(6, tag=275), exif(6)[:-8],
     exif(6)[:4] + b"\xff\xff\xff\xff" + exif(6)[8:],
     exif(6)[:4] + struct.pack(">I", 4) + exif(6)[8:],  # into itself
     exif(6)[:8] + b"\xff\xff" + exif(6, tag=1)[10:], b"XX\0*" + exif(6)[4:], bytes(60_000)],
)  # fmt: skip
def test_a_note_of_the_camera_that_is_none_is_left_out(noted: bytes) -> None:
    assert 1 == read_picture(jpeg(before=segment(0xE1, b"Exif\0\0" + noted))).orientation


def test_a_file_that_is_too_large_is_refused() -> None:
    padding = bytes(bounds.PICTURE - len(png()))

    assert read_picture(png() + padding).width
    assert "at most 33.6 MB are read" in refused(png() + padding + b"x")


def test_a_side_that_is_too_long_is_refused() -> None:
    most = bounds.PICTURE_SIDE

    assert most == read_picture(png(most, 1)).width
    assert "a side may have 32,768" in refused(png(most + 1, 1))


def claimed(width: int, height: int) -> bytes:
    """A JPEG that claims a size, which costs nothing before it is decoded."""
    return b"\xff\xd8" + frame(width, height) + scan() + b"x\xff\xd9"


def test_too_many_pixels_are_refused() -> None:
    assert 8192 == read_picture(claimed(8192, 8192)).height
    assert 8192 * 8192 == bounds.PICTURE_PIXELS
    assert "at most 67.1 million are decoded" in refused(claimed(8193, 8192))


def test_a_png_of_many_bits_for_each_pixel_is_refused() -> None:
    def begun(height: int) -> bytes:
        return png()[:8] + head(8191, height, 16, 6) + chunk(b"IEND")

    most = bounds.PICTURE_UNPACKED // (1 + 8 * 8191)
    assert "at most 268.5 MB are decoded" in refused(begun(most + 1))
    assert "pixels are missing" in refused(begun(most))
    assert "pixels are missing" in refused(png()[:8] + head(8192, 8192, 8, 6) + chunk(b"IEND"))


def test_too_many_passes_over_a_picture_are_refused() -> None:
    most = bounds.PICTURE_PASSES // (3 * 64 * 64)
    begin = b"\xff\xd8" + frame(64, 64, kind=0xC2)
    one = scan(last=0) + b"x"

    assert read_picture(begin + one * most + b"\xff\xd9").width
    assert "at most 1,073,741,824" in refused(begin + one * (most + 1) + b"\xff\xd9")


def test_what_telephones_save_progressively_is_taken() -> None:
    """As libjpeg does it: ten passes, of which some are over one colour, here not made smaller."""
    side = math.isqrt(bounds.PICTURE_PIXELS)
    passes = [(3, 0), *[(1, 63)] * 5, (3, 0), *[(1, 63)] * 3]
    scans = b"".join(scan(colours, last=last) + b"x" for colours, last in passes)

    assert (
        side == read_picture(b"\xff\xd8" + frame(side, side, kind=0xC2) + scans + b"\xff\xd9").width
    )


def test_what_lies_beside_a_narrow_picture_counts() -> None:
    """The engine goes over whole units, which have 32 pixels of a side at most."""
    most = bounds.PICTURE_PASSES // (3 * 32 * 512)
    begin = b"\xff\xd8" + frame(1, 512, kind=0xC2, factors=0x44)
    one = scan(last=0) + b"x"

    assert read_picture(begin + one * most + b"\xff\xd9").width
    assert "over its 512 pixels too often" in refused(begin + one * (most + 1) + b"\xff\xd9")


def test_too_many_parts_of_a_picture_are_refused() -> None:
    most = bounds.PICTURE_PARTS
    remark, ancillary = segment(0xFE), chunk(b"abCd")
    pixels = b"\1\0" * (most - 1) + b"\0"

    assert read_picture(jpeg(before=remark * (most - 6))).width
    assert read_picture(png(before=[ancillary] * (most - 3))).width
    assert read_picture(gif(picture=AREA + pixels)).width
    for data in (
        jpeg(before=remark * most),
        png(before=[ancillary] * most),
        gif(picture=AREA + b"\1\0" + pixels),
        gif(between=b"!\xfe\0" * most),
    ):
        assert "more than 262,144 parts" in refused(data)


@pytest.mark.parametrize("behind", [b"\0", b"\xd0", b"\xd9"])
def test_a_long_run_of_padding_is_looked_through_once(behind: bytes) -> None:
    data = jpeg()[:-2] + b"\xff" * 4_000_000 + behind + b"\xff\xd9"
    begin = time.process_time()

    assert read_picture(data).width
    assert time.process_time() - begin < 2


def test_pictures_that_are_too_large_together_are_refused() -> None:
    large = read_picture(claimed(8192, 8192))
    most = bounds.PICTURES_PIXELS // bounds.PICTURE_PIXELS
    small = read_picture(png(1, 1))

    require_room([large] * most)
    with pytest.raises(MediaError, match=r"at most 268\.4 million are decoded at a time"):
        require_room([*[large] * most, small])


def test_what_takes_too_long_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 20.0 == bounds.MEDIA_SECONDS
    monkeypatch.setattr(bounds, "MEDIA_SECONDS", 0.05)
    patience = Patience()
    patience.require()
    time.sleep(0.1)  # others may have the processor meanwhile
    patience.require()
    end = time.thread_time() + 0.06
    while time.thread_time() < end:
        pass
    with pytest.raises(MediaError, match=r"take longer than 0\.05 seconds to decode"):
        patience.require()


def test_too_many_pictures_are_refused() -> None:
    require_few(bounds.MEDIA)
    with pytest.raises(MediaError, match="at most 64 are taken"):
        require_few(bounds.MEDIA + 1)


def test_a_large_picture_is_looked_through_in_little_memory() -> None:
    data = b"".join([png()[:8], head(8192, 8192)])
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(1 + 3 * 8192)) for _ in range(8192)) + packer.flush()
    data += chunk(b"IDAT", rows) + chunk(b"IEND")
    tracemalloc.start()
    try:
        found = read_picture(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (8192, 8192) == (found.width, found.height)
    assert peak < 20 << 20


@pytest.mark.parametrize(
    ("data", "cure"),
    [
        (box(b"heic"), "convert it to PNG or JPEG"),
        (b"\xfd\x9e+", "if it is a picture, convert it to PNG or JPEG"),
        (b"# modelembed", "give a picture instead"),
        (b"", "give a picture instead"),
        (wav(), "give a picture instead"),
    ],
)
def test_only_pictures_are_to_be_converted(data: bytes, cure: str) -> None:
    with pytest.raises(MediaError) as caught:
        read_picture(data)
    assert cure == caught.value.hint


@pytest.mark.parametrize(
    ("data", "cure"),
    [
        (box(b"heic"), "convert it to PNG or JPEG"),
        (b"OggS", "convert it to WAV, MP3 or FLAC"),
        (b"# modelembed", "give a picture or a sound instead"),
    ],
)
def test_where_both_are_taken_both_are_expected(data: bytes, cure: str) -> None:
    with pytest.raises(MediaError, match="or a sound in WAV, MP3 or FLAC, was") as caught:
        read_media(data)
    assert cure == caught.value.hint
