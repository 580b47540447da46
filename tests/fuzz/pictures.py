"""Pictures and sounds that strangers send: they are looked through before they are decoded."""

from __future__ import annotations

from encoded_pictures import bmp, chunk, exif, gif, jpeg, png, segment
from encoded_sounds import flac, mp3, wav

from fuzz.target import Target
from runtime import bounds
from runtime.media.data_url import from_data_url
from runtime.media.picture import read_picture
from runtime.media.sound import read_sound
from runtime.media.turned import turned


def picture(data: bytes) -> None:
    """What is taken is within the bounds, and is the same when it is looked through again."""
    found = read_picture(data)
    assert 0 < found.width <= bounds.PICTURE_SIDE and 0 < found.height <= bounds.PICTURE_SIDE
    assert found.width * found.height <= bounds.PICTURE_PIXELS
    assert data.startswith(found.data) and found == read_picture(found.data)
    assert 1 <= found.orientation <= 8


def sound(data: bytes) -> None:
    """What is taken is within the bounds."""
    assert 0 <= read_sound(data).seconds <= bounds.SOUND_SECONDS


def data_url(data: bytes) -> None:
    """A text is a data URL, or is refused."""
    from_data_url(data.decode("utf-8", "replace"))


def turning(data: bytes) -> None:
    """Whichever way a photograph is turned, no pixel is lost."""
    width = max(1, len(data) // 3 % 7)
    height = len(data) // 3 // width
    pixels = data[: 3 * width * height]
    for orientation in range(10):
        made, across, down = turned(pixels, width, height, orientation)
        assert sorted(made) == sorted(pixels) and across * down == width * height


def _pictures() -> list[bytes]:
    noted = exif(6)
    return [
        png(), png(9, 7, interlaced=True), png(before=[chunk(b"eXIf", noted)]), gif(frames=3),
        jpeg(before=segment(0xE1, b"Exif\0\0" + noted)), jpeg(progressive=True, scans=2), bmp(),
    ]  # fmt: skip


TARGETS = {
    "pictures": Target(picture, _pictures, megabytes=100),
    "sounds": Target(sound, lambda: [wav(), flac(), mp3()], megabytes=100),
    "data_url": Target(data_url, lambda: [b"data:image/png;base64,YWJjZGVm"], megabytes=50),
    "turning": Target(turning, lambda: [bytes(range(126))], megabytes=50),
}
