"""MP3: frames, one after another, and how long they take."""

from __future__ import annotations

from runtime import bounds
from runtime.media.formats.shape import damaged

NAME = "MP3"
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}
"""Samples in a second by the version's bits: MPEG 1, 2 and 2.5."""
BITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Thousands of bits in a second, of MPEG 1 and of the others."""
LAYER3 = 1
BEHIND = (b"TAG", b"APETAGEX", b"LYRICS", b"ID3", b"3DI")
"""What may follow the last frame: titles."""
ID3 = 10
"""Bytes of the head of a title at the start."""


def mp3_seconds(data: bytes) -> float:
    """Walk an MP3, return how long it is; raise MediaError if it is damaged."""
    place, seconds, rate = _begin(data), 0.0, 0
    while place + 4 <= len(data) and seconds <= bounds.SOUND_SECONDS:
        found = _frame(data[place : place + 4])
        if found is None or (rate and found[1] != rate):
            if rate and (data.startswith(BEHIND, place) or not any(data[place:])):
                break
            raise damaged(NAME, f"there is no frame at byte {place:,}")
        length, rate, samples = found
        place += length
        seconds += samples / rate
    if not rate:
        raise damaged(NAME, "it has no frames")
    return seconds


def _begin(data: bytes) -> int:
    """Return where the first frame begins: behind a title, if there is one."""
    place = 0
    if data.startswith(b"ID3") and len(data) >= ID3:
        size = 0
        for octet in data[6:10]:
            if octet & 0x80:
                raise damaged(NAME, "its title has a length that is none")
            size = size << 7 | octet
        place = ID3 + size + ID3 * bool(data[5] & 0x10)
    while data[place : place + 1] == b"\0":  # what titles are padded with
        place += 1
    return place


def _frame(head: bytes) -> tuple[int, int, int] | None:
    """Return bytes, rate and samples of the frame with this head; None if it is no such head."""
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, kind, padded = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if layer != LAYER3 or version not in RATES or kind == 3 or bits in (0, 15):
        return None
    first = version == 3
    rate = RATES[version][kind]
    samples = 1152 if first else 576
    return samples // 8 * BITS[first][bits] * 1000 // rate + padded, rate, samples
