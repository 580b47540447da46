"""The loops of a search on 64-bit ARM: they find there what is found here."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from emulated import Workshop, every_processor, needs_emulator, workshop

from bundler.engine.wheels import build_own
from runtime.search import loops

pytestmark = needs_emulator

PIECES, DIMENSIONS, WIDTH, MOST = 203, 100, 128, 20

DRIVER = r"""
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { PIECES = 203, DIMENSIONS = 100, WIDTH = 128, MOST = 20 };

int main(int count, char **arguments) {
    static float vectors[PIECES + 1][DIMENSIONS], scales[PIECES], scores[MOST];
    static int8_t rows[PIECES][WIDTH];
    static int16_t question[WIDTH];
    static int32_t scratch[WIDTH];
    static uint32_t numbers[MOST];
    uint8_t bits[PIECES / 8 + 1];
    double squares;
    void *library = dlopen(arguments[1], RTLD_NOW);
    float (*row)(const float *, size_t, int32_t *, int8_t *, double *);
    float (*ask)(const float *, size_t, float, int32_t *, int16_t *, double *);
    size_t (*nearest)(const int8_t *, const float *, size_t, size_t, const int16_t *, float,
                      const uint8_t *, size_t, uint32_t *, float *);
    *(void **)&row = dlsym(library, "search_row");
    *(void **)&ask = dlsym(library, "search_question");
    *(void **)&nearest = dlsym(library, "search_nearest");
    FILE *file = fopen(arguments[count - 1], "rb");
    if (fread(vectors, sizeof vectors, 1, file) != 1) return 2;
    for (int i = 0; i < PIECES; i++) {
        float largest = row(vectors[i], DIMENSIONS, scratch, rows[i], &squares);
        scales[i] = (float)(largest / sqrt(squares) / 127);
    }
    float largest = ask(vectors[PIECES], DIMENSIONS, 8191, scratch, question, &squares);
    for (int i = 0; i < (int)sizeof bits; i++) bits[i] = 0x55;
    float scale = (float)(largest / sqrt(squares) / 8191);
    size_t found = nearest(&rows[0][0], scales, PIECES, WIDTH, question, scale, bits, MOST, numbers,
                           scores);
    fwrite(rows, sizeof rows, 1, stdout);
    fwrite(numbers, sizeof *numbers, found, stdout);
    return 0;
}
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop() as made:
        made.compile("driver", DRIVER, "-lm")
        yield made


@every_processor
def test_vectors_are_rounded_and_found(shop: Workshop, cpu: str) -> None:
    chance = random.Random(5)
    vectors = [
        struct.unpack(
            f"{DIMENSIONS}f",
            struct.pack(f"{DIMENSIONS}f", *(chance.gauss(0, 1) for _ in range(DIMENSIONS))),
        )
        for _ in range(PIECES + 1)
    ]
    (shop.folder / "data").write_bytes(
        b"".join(struct.pack(f"{DIMENSIONS}f", *vector) for vector in vectors)
    )
    rows = [loops.row(vector, WIDTH) for vector in vectors[:-1]]
    even = [number for number in range(PIECES) if not number % 2]
    scale, question = loops.question(vectors[-1], WIDTH)
    assert scale
    asked = struct.unpack(f"{WIDTH}h", question)
    scores = {
        number: rows[number].scale
        * sum(
            a * b
            for a, b in zip(struct.unpack(f"{WIDTH}b", rows[number].numbers), asked, strict=True)
        )
        for number in even
    }
    best = sorted(sorted(even, key=lambda number: -scores[number])[:MOST])

    library = build_own(shop.toolchain, "libsearch.so")
    out = shop.run([shop.folder / "driver", library, shop.folder / "data"], cpu)

    size = PIECES * WIDTH
    assert b"".join(row.numbers for row in rows) == out[:size]
    assert best == sorted(number for (number,) in struct.iter_unpack("<I", out[size:]))
