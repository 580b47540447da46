"""The loops that split and join weights, on 64-bit ARM: they do there what is written here."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from emulated import Workshop, every_processor, needs_emulator, workshop

from bundler.engine.wheels import build_own

pytestmark = needs_emulator

COUNT = 1003  # no multiple of anything that a compiler takes at once
FIELDS = ((0, 2), (2, 16))
"""Offset and width of the fields of a Q4_0 record."""
RECORD = 18

DRIVER = r"""
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
struct field { uint32_t offset, width, stream, before; };

int main(int count, char **arguments) {
    static u8 data[1 << 16], streams[1 << 16], back[1 << 16];
    void *library = dlopen(arguments[1], RTLD_NOW);
    const char *kind = arguments[2];
    size_t number = (size_t)atoi(arguments[3]), record = (size_t)atoi(arguments[4]);
    FILE *file = fopen(arguments[count - 1], "rb");
    if (fread(data, record, number, file) != number) return 2;
    char split[64], join[64];
    snprintf(split, sizeof split, "weights_split_%s", kind);
    snprintf(join, sizeof join, "weights_join_%s", kind);
    void *first = dlsym(library, split), *second = dlsym(library, join);
    if (!first || !second) return 3;
    u8 *s = streams;
    size_t n = number;
    if (!strcmp(kind, "fields")) {
        static const struct field fields[] = {{0, 2, 0, 0}, {2, 16, 1, 0}};
        u8 *parts[] = {s, s + 2 * n};
        ((void (*)(u8 *const *, const u8 *, size_t, size_t, const struct field *, size_t))first)(
            parts, data, n, record, fields, 2);
        ((void (*)(u8 *, const u8 *const *, size_t, size_t, const struct field *, size_t))second)(
            back, (const u8 *const *)parts, n, record, fields, 2);
    } else {
        ((void (*)(u8 *, const u8 *, size_t))first)(s, data, n);
        if (record == 2)
            ((void (*)(u8 *, size_t, const u8 *, const u8 *))second)(back, n, s, s + n);
        else
            ((void (*)(u8 *, size_t, const u8 *, const u8 *, const u8 *, const u8 *))second)(
                back, n, s, s + n, s + 2 * n, s + 3 * n);
    }
    if (memcmp(back, data, n * record)) return 4;
    return fwrite(streams, record, n, stdout) != n;
}
"""


def bytes_of(records: list[bytes]) -> bytes:
    return b"".join(bytes(column) for column in zip(*records, strict=True))


def bf16(records: list[bytes]) -> bytes:
    numbers = [int.from_bytes(record, "little") for record in records]
    rests = bytes(number >> 8 & 0x80 | number & 0x7F for number in numbers)
    return rests + bytes(number >> 7 & 0xFF for number in numbers)


def fields(records: list[bytes]) -> bytes:
    return b"".join(
        record[offset : offset + width] for offset, width in FIELDS for record in records
    )


KINDS = {"2": (2, bytes_of), "4": (4, bytes_of), "bf16": (2, bf16), "fields": (RECORD, fields)}


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop() as made:
        made.compile("driver", DRIVER)
        yield made


@every_processor
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_split_and_joined(shop: Workshop, kind: str, cpu: str) -> None:
    size, split = KINDS[kind]
    data = random.Random(kind).randbytes(size * COUNT)
    (shop.folder / "data").write_bytes(data)
    records = [data[place : place + size] for place in range(0, len(data), size)]
    library = build_own(shop.toolchain, "libweights.so")
    command = [shop.folder / "driver", library, kind, str(COUNT), str(size), shop.folder / "data"]

    assert split(records) == shop.run(command, cpu)
