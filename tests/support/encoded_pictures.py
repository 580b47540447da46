"""Pictures as files, written byte by byte so that each part can be wrong: PNG, JPEG, GIF, BMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, INDEXED, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, INDEXED: 1, GREY_ALPHA: 2, RGBA: 4}
PASSES = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2),
          (0, 1, 1, 2))  # fmt: skip


def chunk(kind: bytes, body: bytes = b"", checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG."""
    found = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", found)


def head(
    width: int, height: int, depth: int = 8, colour: int = RGB, *, rest: bytes = b"\0\0\0"
) -> bytes:
    """Return the chunk that a PNG begins with."""
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colour) + rest)


def raw(
    width: int, height: int, depth: int = 8, colour: int = RGB, *, interlaced: bool = False
) -> bytes:
    """Return the pixels of a PNG before they are packed: each row with its filter."""
    sizes = [(width, height)]
    if interlaced:
        sizes = [(len(range(x, width, dx)), len(range(y, height, dy))) for x, dx, y, dy in PASSES]
    rows = b""
    for columns, lines in sizes:
        size = (columns * depth * SAMPLES[colour] + 7) // 8
        for line in range(lines if columns else 0):
            rows += b"\0" + bytes((7 * line + 3 * at) % 256 for at in range(size))
    return rows


def packed(width: int, height: int, depth: int = 8, colour: int = RGB, **more: bool) -> bytes:
    """Return the pixels of a PNG as its chunks have them."""
    return zlib.compress(raw(width, height, depth, colour, **more))


def png(
    width: int = 12,
    height: int = 9,
    depth: int = 8,
    colour: int = RGB,
    *,
    interlaced: bool = False,
    palette: int = 0,
    before: Sequence[bytes] = (),
    pixels: bytes | None = None,
    behind: bytes = b"",
) -> bytes:
    """Return a PNG; `palette` counts its colours, `before` are chunks before the pixels."""
    if pixels is None:
        pixels = packed(width, height, depth, colour, interlaced=interlaced)
    return b"".join([
        SIGNATURE,
        head(width, height, depth, colour, rest=b"\0\0" + bytes([interlaced])),
        chunk(b"PLTE", bytes(3 * palette)) if palette else b"",
        *before,
        chunk(b"IDAT", pixels),
        chunk(b"IEND"),
        behind,
    ])  # fmt: skip


def exif(orientation: int, *, order: str = ">", tag: int = 274, kind: int = 3) -> bytes:
    """Return EXIF with one field, the orientation, as cameras note it."""
    magic = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(f"{order}HHIHH", tag, kind, 1, orientation, 0)
    return magic + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def segment(marker: int, body: bytes = b"", length: int | None = None) -> bytes:
    """Return a segment of a JPEG."""
    size = len(body) + 2 if length is None else length
    return bytes([0xFF, marker]) + struct.pack(">H", size) + body


def codes(kind: int, number: int, *values: int) -> bytes:
    """Return a table of Huffman codes of four bits each."""
    counts = bytes([0, 0, 0, len(values), *[0] * 12])
    return segment(0xC4, bytes([kind << 4 | number]) + counts + bytes(values))


QUANTA = segment(0xDB, b"\0" + bytes([1] * 64))
TABLES = codes(0, 0, *range(8)) + codes(1, 0, 0)


def frame(
    width: int,
    height: int,
    colours: int = 3,
    *,
    kind: int = 0xC0,
    precision: int = 8,
    factors: int = 0x11,
) -> bytes:
    """Return the segment that says how large a JPEG is; `factors` are those of all colours."""
    body = struct.pack(">BHHB", precision, height, width, colours)
    return segment(kind, body + b"".join(bytes([1 + at, factors, 0]) for at in range(colours)))


def scan(colours: int = 3, *, last: int = 63) -> bytes:
    """Return the head of a pass over the pixels; up to coefficient `last`."""
    body = bytes([colours]) + b"".join(bytes([1 + at, 0]) for at in range(colours))
    return segment(0xDA, body + bytes([0, last, 0]))


def coded(width: int, height: int, colours: int = 3, *, whole: bool = True) -> bytes:
    """Return pixels as a JPEG codes them: squares of 8, each of one colour; `whole` ends each."""
    bits = ""
    for block in range(((width + 7) // 8) * ((height + 7) // 8)):
        for colour in range(colours):
            size = (block + colour) % 7
            bits += f"{size:04b}" + "1" * size  # the code of a size is the size itself
            bits += "0000" if whole else ""
    bits += "1" * (-len(bits) % 8)
    found = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return found.replace(b"\xff", b"\xff\0")


def jpeg(
    width: int = 24,
    height: int = 16,
    colours: int = 3,
    *,
    before: bytes = b"",
    progressive: bool = False,
    scans: int = 1,
    behind: bytes = b"",
) -> bytes:
    """Return a JPEG; `before` are segments at its start."""
    kind, last = (0xC2, 0) if progressive else (0xC0, 63)
    pixels = coded(width, height, colours, whole=not progressive)
    return b"".join([
        b"\xff\xd8", before, QUANTA, frame(width, height, colours, kind=kind), TABLES,
        (scan(colours, last=last) + pixels) * scans, b"\xff\xd9", behind,
    ])  # fmt: skip


def image(
    width: int, height: int, *, left: int = 0, top: int = 0, flags: int = 0, bits: int = 2
) -> bytes:
    """Return one picture of a GIF, of its first colour."""
    clear, end = 1 << bits, (1 << bits) + 1
    numbers = "".join(
        f"{code:0{bits + 1}b}"[::-1] for _ in range(width * height) for code in (clear, 1)
    )
    numbers += f"{end:0{bits + 1}b}"[::-1]
    numbers += "0" * (-len(numbers) % 8)
    data = bytes(int(numbers[at : at + 8][::-1], 2) for at in range(0, len(numbers), 8))
    blocks = b"".join(
        bytes([len(part)]) + part
        for part in (data[at : at + 255] for at in range(0, len(data), 255))
    )
    return b"," + struct.pack("<HHHHBB", left, top, width, height, flags, bits) + blocks + b"\0"


def gif(
    width: int = 10,
    height: int = 6,
    *,
    frames: int = 1,
    palette: bool = True,
    between: bytes = b"",
    picture: bytes | None = None,
) -> bytes:
    """Return a GIF of four colours."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x81 if palette else 1, 0, 0)
    colours = bytes(range(0, 240, 20)) if palette else b""
    one = image(width, height) if picture is None else picture
    return screen + colours + (between + one) * frames + b";"


def bmp(
    width: int = 7,
    height: int = 5,
    depth: int = 24,
    *,
    size: int = 40,
    compression: int = 0,
    planes: int = 1,
    palette: int = 0,
    cut: int = 0,
) -> bytes:
    """Return a BMP; a negative height puts the top row first."""
    row = (abs(width) * depth + 31) // 32 * 4
    if size == 12:
        header = struct.pack("<IHHHH", size, width, height, planes, depth)
    else:
        fields = struct.pack("<IiiHHIIIIII", size, width, height, planes, depth, compression,
                             0, 0, 0, palette, 0)  # fmt: skip
        header = fields.ljust(size, b"\0")
    header += bytes(range(256))[: 4 * palette]
    pixels = bytes(at % 251 for at in range(min(row * abs(height), 1 << 16)))
    offset = 14 + len(header)
    whole = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + pixels
    return whole[: len(whole) - cut]
