"""Hostile pictures: files that a stranger may send as a picture, by what is wrong with them."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Mapping

from encoded_pictures import (
    GREY,
    INDEXED,
    QUANTA,
    RGBA,
    SIGNATURE,
    TABLES,
    bmp,
    chunk,
    coded,
    exif,
    frame,
    gif,
    head,
    image,
    jpeg,
    packed,
    png,
    raw,
    scan,
    segment,
)

HUGE = 0x7FFFFFFF
AREA = b"," + struct.pack("<HHHHBB", 0, 0, 10, 6, 0, 2)
"""What the first picture of `gif()` begins with."""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def box(brand: bytes) -> bytes:
    """Return how a file of HEIC or AVIF begins."""
    return struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, brand) + bytes(200)


def bomb(size: int) -> bytes:
    """Return packed zeros, `size` of them."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def animated() -> bytes:
    """Return the chunks that make a PNG an animated one."""
    control = struct.pack(">IIIIIHHBB", 0, 12, 9, 0, 0, 1, 10, 0, 0)
    return chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", control)


def cuts(name: str, data: bytes, count: int) -> dict[str, bytes]:
    """Return a file cut at so many places."""
    return {f"{name} cut after {len(data) * at // count} bytes": data[: len(data) * at // count]
            for at in range(1, count)}  # fmt: skip


NOT_PICTURES: Mapping[str, bytes] = {
    "nothing": b"",
    "one byte": b"\x89",
    "text": b"a picture of a cat",
    "zeros": bytes(5000),
    "an SVG drawing": SVG,
    "an SVG drawing with a declaration": b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n' + SVG,
    "an SVG drawing behind a mark": b"\xef\xbb\xbf" + SVG,
    "an SVG bomb": b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + SVG,
    "a web page": b"<!doctype html><html><img src=x onerror=alert(1)></html>",
    "WebP": b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8 " + bytes(90),
    "animated WebP": b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + bytes(90),
    **{f"HEIC of {brand.decode()}": box(brand) for brand in (b"heic", b"heix", b"mif1", b"msf1")},
    **{f"AVIF of {brand.decode()}": box(brand) for brand in (b"avif", b"avis")},
    "a film": box(b"isom"),
    "TIFF": b"II*\0\x08\0\0\0" + bytes(100),
    "TIFF of the other order": b"MM\0*\0\0\0\x08" + bytes(100),
    "BigTIFF": b"II+\0\x08\0\0\0" + bytes(100),
    "PDF": b"%PDF-1.7\n1 0 obj\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "Photoshop": b"8BPS\0\1" + bytes(100),
    "a huge Photoshop picture": b"8BPS\0\1" + bytes(6) + b"\0\3" + struct.pack(">II", 9**5, 9**5),
    "JPEG XL": b"\xff\x0a" + bytes(50),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50),
    "an icon": b"\0\0\1\0\1\0" + bytes(60),
    "a cursor": b"\0\0\2\0\1\0" + bytes(60),
    "PNM, which the decoder knows": b"P6\n30000 30000\n255\n" + bytes(60),
    "HDR, which the decoder knows": b"#?RADIANCE\n\n-Y 30000 +X 30000\n" + bytes(60),
    "PIC, which the decoder knows": b"\x53\x80\xf6\x34" + bytes(100),
    "TGA, which the decoder knows": bytes([0, 0, 2]) + bytes(9) + b"\x30\x75\x30\x75\x18\0",
    "TGA with runs": bytes([0, 0, 10]) + bytes(9) + b"\x30\x75\x30\x75\x18\0",
    "a ZIP archive": b"PK\3\4" + bytes(60),
    "a model": b"GGUF\3\0\0\0" + bytes(60),
    "a program": b"\x7fELF\2\1\1" + bytes(60),
    "a sound": b"RIFF" + struct.pack("<I", 100) + b"WAVEfmt " + bytes(90),
    "a PNG behind a space": b" " + png(),
    "a JPEG behind a ZIP archive": b"PK\3\4" + jpeg(),
    "half of a signature": SIGNATURE[:5],
}  # fmt: skip

PNGS: Mapping[str, bytes] = {
    "a signature alone": SIGNATURE,
    "a huge width": SIGNATURE + head(HUGE, 1) + chunk(b"IEND"),
    "a huge height": SIGNATURE + head(1, HUGE) + chunk(b"IEND"),
    "huge both": SIGNATURE + head(HUGE, HUGE) + chunk(b"IEND"),
    "negative both": SIGNATURE + head(2**32 - 1, 2**32 - 1) + chunk(b"IEND"),
    "more pixels than may be": SIGNATURE + head(30_000, 30_000) + chunk(b"IDAT", bomb(4 << 20)),
    "no width": SIGNATURE + head(0, 5) + chunk(b"IEND"),
    "no height": SIGNATURE + head(5, 0) + chunk(b"IEND"),
    "a bomb": png(20, 20, pixels=bomb(300 << 20)),
    "a bomb in its profile": png(pixels=b"x", before=[chunk(b"iCCP", b"a\0\0" + bomb(16 << 20))]),
    "a byte too many": png(pixels=zlib.compress(raw(12, 9) + b"x")),
    "a byte too few": png(pixels=zlib.compress(raw(12, 9)[:-1])),
    "no pixels": png(pixels=b""),
    "pixels that are not packed": png(pixels=raw(12, 9)),
    "pixels packed as gzip": png(pixels=zlib.compressobj(wbits=31).compress(raw(12, 9))),
    "pixels whose sum is wrong": png(pixels=packed(12, 9)[:-1] + b"\0"),
    "pixels without their end": png(pixels=packed(12, 9)[:-6]),
    "no header": SIGNATURE + chunk(b"IDAT", packed(12, 9)) + chunk(b"IEND"),
    "two headers": SIGNATURE + head(12, 9) + head(9000, 9000) + chunk(b"IEND"),
    "a second header behind the pixels": png().replace(chunk(b"IEND"), head(9, 9) + chunk(b"IEND")),
    "a header of 12 bytes": SIGNATURE + chunk(b"IHDR", bytes(12)) + chunk(b"IEND"),
    "a header of 14 bytes": SIGNATURE + chunk(b"IHDR", bytes(14)) + chunk(b"IEND"),
    "no end": png().removesuffix(chunk(b"IEND")),
    "a chunk of 4 GB": SIGNATURE + head(12, 9) + b"\xff\xff\xff\xffIDAT" + bytes(50),
    "a chunk of 2 GB": SIGNATURE + head(12, 9) + b"\x7f\xff\xff\xffIDAT" + bytes(50),
    "a chunk of a negative length": SIGNATURE + head(12, 9) + b"\x80\0\0\0IDAT" + bytes(50),
    "a header with a wrong sum": png()[:29] + b"\0\0\0\0" + png()[33:],
    "pixels with a wrong sum": SIGNATURE + head(12, 9) + chunk(b"IDAT", packed(12, 9), 1)
    + chunk(b"IEND"),
    "an end with a wrong sum": png().removesuffix(chunk(b"IEND")) + chunk(b"IEND", b"", 5),
    "an odd palette": png(colour=INDEXED, before=[chunk(b"PLTE", bytes(4))]),
    "a palette of nothing": png(colour=INDEXED, before=[chunk(b"PLTE")]),
    "a palette of 257": png(colour=INDEXED, before=[chunk(b"PLTE", bytes(771))]),
    "no palette": png(colour=INDEXED),
    "Apple's own": SIGNATURE + chunk(b"CgBI", bytes(4)) + png()[8:],
    **{f"{depth} bits of colour {colour}": SIGNATURE + head(4, 4, depth, colour) + chunk(b"IEND")
       for depth, colour in ((0, 0), (3, 0), (32, 0), (1, 2), (4, 2), (16, 3), (4, 4), (2, 6),
                             (8, 1), (8, 5), (8, 7), (8, 255))},
    **{f"ways {rest!r}": SIGNATURE + head(4, 4, rest=rest) + chunk(b"IEND")
       for rest in (b"\1\0\0", b"\xff\0\0", b"\0\1\0", b"\0\xff\0", b"\0\0\2", b"\0\0\xff")},
    "interlaced as if it were not": png(interlaced=True, pixels=packed(12, 9)),
    "not interlaced as if it were": png(pixels=packed(12, 9, interlaced=True)),
    **cuts("PNG", png(24, 24), 20),
}  # fmt: skip

JPEGS: Mapping[str, bytes] = {
    "a start alone": b"\xff\xd8\xff",
    "a start and an end": b"\xff\xd8\xff\xd9",
    "no size": b"\xff\xd8" + QUANTA + TABLES + scan() + coded(24, 16) + b"\xff\xd9",
    "no pixels": b"\xff\xd8" + QUANTA + frame(24, 16) + TABLES + b"\xff\xd9",
    "no width": b"\xff\xd8" + frame(0, 16) + scan() + b"\xff\xd9",
    "no height": b"\xff\xd8" + frame(16, 0) + scan() + b"\xff\xd9",
    "huge": b"\xff\xd8" + frame(65_535, 65_535) + scan() + b"\xff\xd9",
    "more pixels than may be": b"\xff\xd8" + frame(20_000, 20_000) + scan() + b"\xff\xd9",
    "a wide one": b"\xff\xd8" + frame(65_535, 1) + scan() + b"\xff\xd9",
    "two sizes": b"\xff\xd8" + frame(8, 8) + frame(9000, 9000) + scan() + coded(8, 8) + b"\xff\xd9",
    "a size behind the pixels": jpeg().removesuffix(b"\xff\xd9") + frame(9000, 9000) + b"\xff\xd9",
    "passes without end": b"\xff\xd8" + frame(8000, 8000, kind=0xC2) + TABLES
    + scan(last=0) * 3000 + b"\xff\xd9",
    "no end": jpeg().removesuffix(b"\xff\xd9"),
    "pixels that end in an escape": jpeg().removesuffix(b"\xff\xd9") + b"\xff",
    "a segment of nothing": b"\xff\xd8" + segment(0xE0, b"", 0) + jpeg()[2:],
    "a segment of one byte": b"\xff\xd8" + segment(0xE0, b"", 1) + jpeg()[2:],
    "a segment beyond the end": b"\xff\xd8" + segment(0xE0, b"", 65_535) + jpeg()[2:][:50],
    "a remark in place of the rest": b"\xff\xd8" + segment(0xFE, bytes(5000)),
    "noise between segments": b"\xff\xd8" + QUANTA + b"noise" + jpeg()[2:],
    **{f"frames of kind {kind:X}": b"\xff\xd8" + QUANTA + frame(24, 16, kind=kind) + TABLES + scan()
       + coded(24, 16) + b"\xff\xd9"
       for kind in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCF)},
    **{f"{bits} bits a sample": b"\xff\xd8" + frame(24, 16, precision=bits) + scan() + b"\xff\xd9"
       for bits in (0, 2, 12, 16, 255)},
    **{f"{colours} colours": b"\xff\xd8" + frame(24, 16, colours) + scan(1) + b"\xff\xd9"
       for colours in (0, 2, 5, 84)},
    "a size that is cut": b"\xff\xd8" + segment(0xC0, b"\x08\0\x10") + scan() + b"\xff\xd9",
    "a size with fewer colours than it claims": b"\xff\xd8"
    + segment(0xC0, b"\x08\0\x10\0\x10\x03\1\x11\0") + scan() + b"\xff\xd9",
    **cuts("JPEG", jpeg(64, 48), 30),
    **cuts("progressive JPEG", jpeg(64, 48, progressive=True), 15),
    **cuts("JPEG of a telephone", jpeg(64, 48, before=segment(0xE1, b"Exif\0\0" + exif(6))), 15),
}  # fmt: skip

GIFS: Mapping[str, bytes] = {
    "a signature alone": b"GIF89a",
    "an older signature alone": b"GIF87a",
    "no width": gif(0, 6, picture=image(1, 1)),
    "no height": gif(6, 0, picture=image(1, 1)),
    "huge": gif(65_535, 65_535, picture=image(1, 1)),
    "a picture outside": gif(picture=image(10, 6, left=5)),
    "a picture below": gif(picture=image(10, 6, top=60_000)),
    "a picture that is larger": gif(picture=image(11, 6)),
    "a picture without size": gif(picture=image(0, 0)),
    "no palette": gif(palette=False),
    "no picture": gif(frames=0),
    "remarks alone": gif(frames=0)[:-1] + b"!\xfe\x05hello\0" * 2000,
    "codes of no bits": gif(picture=AREA[:-1] + b"\0\1\0\0"),
    "codes of 12 bits": gif(picture=AREA[:-1] + b"\x0c\1\0\0"),
    "codes of 255 bits": gif(picture=AREA[:-1] + b"\xff\1\0\0"),
    "no pixels": gif(picture=AREA + b"\0"),
    "an unknown block": gif(between=b"X"),
    **cuts("GIF", gif(frames=1), 15),
}  # fmt: skip

BMPS: Mapping[str, bytes] = {
    "a signature alone": b"BM",
    "no width": bmp(0, 5),
    "no height": bmp(5, 0),
    "a negative width": bmp(-7, 5),
    "the smallest height": bmp(7, -(2**31)),
    "huge": bmp(2**31 - 1, 2**31 - 1),
    "a size that wraps": bmp(65_537, 65_537),
    "rows that are missing": bmp(2000, 2000),
    "rows that are missing, from the top": bmp(2000, -2000),
    "a byte too few": bmp(cut=1),
    "with runs": bmp(depth=8, compression=1),
    "with runs of four bits": bmp(depth=4, compression=2),
    "a JPEG inside": bmp(compression=4),
    "fields of 24 bits": bmp(compression=3),
    **{f"{depth} bits": bmp(depth=depth) for depth in (0, 2, 3, 5, 48, 64, 255)},
    **{f"{planes} planes": bmp(planes=planes) for planes in (0, 2, 65_535)},
    **{f"a header of {size} bytes": bmp()[:14] + struct.pack("<I", size) + bmp()[18:]
       for size in (0, 4, 13, 52, 64, 255, 2**31, 2**32 - 1)},
    "pixels within the header": bmp()[:10] + struct.pack("<I", 20) + bmp()[14:],
    "pixels beyond the end": bmp()[:10] + struct.pack("<I", 2**32 - 1) + bmp()[14:],
    **cuts("BMP", bmp(), 12),
}  # fmt: skip

REFUSED: Mapping[str, bytes] = {
    f"{kind}: {name}": data
    for kind, group in (("none", NOT_PICTURES), ("PNG", PNGS), ("JPEG", JPEGS), ("GIF", GIFS),
                        ("BMP", BMPS))
    for name, data in group.items()
}  # fmt: skip
"""What must be refused, with words that say why."""

OPENED: Mapping[str, bytes] = {
    "a PNG": png(),
    **{f"a PNG of {depth} bits of colour {colour}":
       png(depth=depth, colour=colour, palette=4 * (colour == 3))
       for depth, colour in ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (16, 2), (1, 3), (2, 3),
                             (4, 3), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6))},
    **{f"an interlaced PNG of {side} pixels": png(side, side, interlaced=True)
       for side in (1, 2, 3, 5, 8, 33)},
    "an interlaced PNG of one bit": png(9, 7, 1, GREY, interlaced=True),
    "a PNG whose palette is short": png(depth=8, colour=INDEXED, palette=2),
    "an animated PNG": png(before=[animated()], behind=b""),
    "a PNG that is a ZIP archive as well": png(behind=b"PK\3\4" + bytes(50) + b"PK\5\6"),
    "a PNG with a page behind it": png(behind=b"<script>alert(1)</script>"),
    "a PNG with a page within": png(before=[chunk(b"tEXt", b"a\0<script>alert(1)</script>")]),
    "a PNG with text of escapes": png(before=[chunk(b"tEXt", b"Title\0\x1b]0;owned\x07")]),
    "a PNG with a packed text of 16 MB": png(before=[chunk(b"zTXt", b"a\0\0" + bomb(16 << 20))]),
    "a PNG with unknown chunks": png(before=[chunk(b"abCd", b"x")] * 500),
    "a PNG in many parts": png(pixels=b"", colour=RGBA).replace(
        chunk(b"IDAT"), b"".join(chunk(b"IDAT", bytes([one])) for one in packed(12, 9, 8, RGBA))
    ),
    "a PNG with odd filters": png(pixels=zlib.compress(bytes([9]) + raw(12, 9)[1:])),
    "a PNG one pixel high": png(3000, 1),
    "a PNG one pixel wide": png(1, 3000),
    "a JPEG": jpeg(),
    "a grey JPEG": jpeg(colours=1),
    "a JPEG of four colours": jpeg(colours=4),
    "a JPEG of Adobe's four colours": jpeg(colours=4, before=segment(0xEE, b"Adobe\0d\0\0\0\0\2")),
    "a progressive JPEG": jpeg(progressive=True),
    "a JPEG with a film behind it": jpeg(behind=box(b"mp42") * 50),
    "a JPEG with a page within": jpeg(before=segment(0xFE, b"<script>alert(1)</script>")),
    "a JPEG with wrong tables": jpeg().replace(TABLES, b""),
    "a JPEG with codes that there are not": jpeg().replace(coded(24, 16), b"\xfe" * 40),
    "a JPEG with fewer pixels than it claims": jpeg().replace(coded(24, 16), b"\x10"),
    "a JPEG with padding between": b"\xff\xd8\xff\xff\xff\xff" + jpeg()[3:],
    "a JPEG with a picture in its EXIF": jpeg(before=segment(0xE1, b"Exif\0\0" + exif(1) + jpeg())),
    "a GIF": gif(),
    "a GIF of 500 pictures": gif(frames=500),
    "a GIF with remarks": gif(between=b"!\xfe\x05hello\0"),
    "a GIF whose codes end early": gif(picture=AREA + b"\1\x2c\0"),
    "a GIF of wrong codes": gif(picture=AREA + b"\4\xff\xff\xff\xff\0"),
    "a BMP": bmp(),
    "a BMP from the top": bmp(height=-5),
    "an old BMP": bmp(size=12),
    "a BMP of 8 bits": bmp(depth=8, palette=16),
    "a BMP of one bit": bmp(depth=1, palette=2),
    "a BMP with indices out of its palette": bmp(depth=8, palette=2),
    "a BMP of 32 bits": bmp(depth=32, size=124),
}  # fmt: skip
"""Strange ones that are whole: the engine's decoder may take or refuse them, and must survive."""


def noise(count: int, seed: int = 1) -> Mapping[str, bytes]:
    """Return pictures of all formats with bytes changed at random."""
    draw = random.Random(seed)
    found = {}
    for number in range(count):
        name, data = draw.choice([("PNG", png()), ("JPEG", jpeg()), ("GIF", gif()), ("BMP", bmp())])
        changed = bytearray(data)
        for _ in range(draw.randint(1, 6)):
            changed[draw.randrange(len(changed))] = draw.choice(
                [0, 1, 127, 128, 255, draw.randrange(256)]
            )
        found[f"{name} with noise {number}"] = bytes(changed)
    return found
