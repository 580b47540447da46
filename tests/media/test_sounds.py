"""Sounds of strangers: how long they are, and that hostile files get an error that says why."""

from __future__ import annotations

import random

import pytest
from encoded_pictures import png
from encoded_sounds import flac, mp3, wav

from runtime import bounds
from runtime.errors import MediaError
from runtime.media.kinds import read_media, require_room
from runtime.media.picture import Picture
from runtime.media.sound import Sound, read_sound

REFUSED = {
    "nothing": b"",
    "text": b"la la la",
    "Ogg": b"OggS" + bytes(50),
    "a film": b"\0\0\0\x14ftypM4A " + bytes(50),
    "a WAV's head": b"RIFF\0\0\0\0WAVE",
    "a WAV without a format": wav()[:12] + b"data\4\0\0\0abcd",
    "a WAV without samples": wav()[:36],
    "a WAV of 4 GB": wav(claimed=2**32 - 1),
    "a WAV of no samples": wav(0),
    "a WAV of no channels": wav(channels=0),
    "a WAV of many channels": wav(channels=200),
    "a WAV of no rate": wav(rate=0),
    "a WAV of a huge rate": wav(rate=2**32 - 1),
    "a WAV of 7 bits": wav(bits=7),
    "a compressed WAV": wav(tag=0x11),
    "a WAV that is cut": wav()[:-1],
    "a FLAC's head": b"fLaC",
    "a FLAC that claims years": flac(samples=2**36 - 1),
    "a FLAC without a length": flac(samples=0),
    "a FLAC without a rate": flac(rate=0),
    "a FLAC without samples": flac(frames=b""),
    "a FLAC with a block beyond its end": flac(block=b"\x84\xff\xff\xff"),
    "an MP3's head": b"\xff\xfb",
    "an MP3 of another layer": mp3().replace(b"\xff\xfb", b"\xff\xfd"),
    "an MP3 of a free rate": mp3(bits=0),
    "an MP3 of a wrong rate": mp3(bits=15),
    "an MP3 with noise": mp3() + b"noise" * 20 + mp3(),
    "an MP3 of a title alone": b"ID3\4\0\0\0\0\0\x10" + bytes(16),
    "an MP3 with a title beyond its end": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + mp3(),
    "an MP3 with a title of no length": b"ID3\4\0\0\xff\xff\xff\xff" + mp3(),
}


@pytest.mark.parametrize(
    ("data", "name", "seconds"),
    [
        (wav(16_000), "wav", 1.0),
        (wav(44_100, rate=44_100, channels=2), "wav", 1.0),
        (wav(800, rate=8000, bits=32, tag=3), "wav", 0.1),
        (flac(samples=48_000, rate=48_000), "flac", 1.0),
        (mp3(50), "mp3", 50 * 1152 / 44_100),
        (b"ID3\4\0\0\0\0\1\x05" + bytes(133) + mp3(9), "mp3", 9 * 1152 / 44_100),
        (mp3(9) + b"TAG" + bytes(125), "mp3", 9 * 1152 / 44_100),
    ],
)
def test_a_sound_says_how_long_it_is(data: bytes, name: str, seconds: float) -> None:
    found = read_sound(data)

    assert (name, pytest.approx(seconds), data) == (found.format, found.seconds, found.data)


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_sound_is_refused(name: str) -> None:
    with pytest.raises(MediaError) as caught:
        read_sound(REFUSED[name])
    assert caught.value.hint


def test_noise_is_taken_or_refused() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        data = bytearray(draw.choice([wav(), flac(), mp3()]))
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            assert 0 <= read_sound(bytes(data)).seconds <= bounds.SOUND_SECONDS
        except MediaError as exc:
            assert exc.hint


def test_a_sound_that_is_too_large_is_refused() -> None:
    most = wav((bounds.SOUND - 44) // 2, rate=300_000)

    assert read_sound(most)
    with pytest.raises(MediaError, match=r"at most 67\.1 MB are read"):
        read_sound(most + b"x")


def test_a_sound_that_is_too_long_is_refused() -> None:
    rate = 1000
    most = int(bounds.SOUND_SECONDS) * rate

    assert bounds.SOUND_SECONDS == read_sound(wav(most, rate=rate)).seconds
    for long in (
        wav(most + rate, rate=rate),
        flac(samples=most * 48 + 480_000, rate=48_000, room=30_000),
    ):
        with pytest.raises(MediaError, match="at most 30 minutes are heard"):
            read_sound(long)


def test_sounds_that_are_too_long_together_are_refused() -> None:
    half = read_sound(wav(int(bounds.SOUND_SECONDS) * 500, rate=1000))

    require_room([half, half])
    with pytest.raises(MediaError, match="the sounds take 45 minutes, at most 30"):
        require_room([half, half, half])


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_a_flac_of_too_many_samples_is_refused(channels: int) -> None:
    """Silence of any length takes some bytes in it, and is decoded sample by sample."""
    most = bounds.SOUND_SAMPLES // channels
    rate = most // 1000

    assert read_sound(flac(samples=most, rate=rate, channels=channels, room=30_000)).seconds
    with pytest.raises(MediaError, match=r"at most 172\.8 million are decoded"):
        read_sound(flac(samples=most + 1, rate=rate, channels=channels, room=30_000))


def test_media_are_told_apart_by_what_they_begin_with() -> None:
    assert isinstance(read_media(wav()), Sound)
    assert isinstance(read_media(png()), Picture)
