/* Take the bytes of weights apart into streams that compress well, and put them together again.
 *
 * The loops of runtime/weights.py, which says what they are for. All numbers are little-endian, as in
 * GGUF, and no pointer needs to be aligned: compilers turn each memcpy of a number into one
 * instruction.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LOAD(type, from) ({ type value; memcpy(&value, (from), sizeof value); value; })
#define STORE(to, value) memcpy((to), &(value), sizeof (value))

/* Numbers of two bytes: the low bytes, then the high ones. */
void weights_split_2(uint8_t *restrict streams, const uint8_t *restrict numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint16_t number = LOAD(uint16_t, numbers + 2 * i);
        streams[i] = (uint8_t)number;
        streams[count + i] = (uint8_t)(number >> 8);
    }
}

void weights_join_2(uint8_t *restrict numbers, size_t count, const uint8_t *restrict low,
                    const uint8_t *restrict high) {
    for (size_t i = 0; i < count; i++) {
        uint16_t number = (uint16_t)(low[i] | high[i] << 8);
        STORE(numbers + 2 * i, number);
    }
}

/* Numbers of four bytes: their lowest bytes first, their highest last. */
void weights_split_4(uint8_t *restrict streams, const uint8_t *restrict numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t number = LOAD(uint32_t, numbers + 4 * i);
        streams[i] = (uint8_t)number;
        streams[count + i] = (uint8_t)(number >> 8);
        streams[2 * count + i] = (uint8_t)(number >> 16);
        streams[3 * count + i] = (uint8_t)(number >> 24);
    }
}

void weights_join_4(uint8_t *restrict numbers, size_t count, const uint8_t *restrict lowest,
                    const uint8_t *restrict second, const uint8_t *restrict third,
                    const uint8_t *restrict highest) {
    for (size_t i = 0; i < count; i++) {
        uint32_t number = lowest[i] | (uint32_t)second[i] << 8 | (uint32_t)third[i] << 16 |
                          (uint32_t)highest[i] << 24;
        STORE(numbers + 4 * i, number);
    }
}

/* BF16 is a sign, 8 bits of exponent and 7 of fraction: the exponent straddles the two bytes.
 * Sign and fraction first, then the exponents. */
void weights_split_bf16(uint8_t *restrict streams, const uint8_t *restrict numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint16_t number = LOAD(uint16_t, numbers + 2 * i);
        streams[i] = (uint8_t)((number >> 8 & 0x80) | (number & 0x7f));
        streams[count + i] = (uint8_t)(number >> 7);
    }
}

void weights_join_bf16(uint8_t *restrict numbers, size_t count, const uint8_t *restrict rests,
                       const uint8_t *restrict exponents) {
    for (size_t i = 0; i < count; i++) {
        uint16_t rest = rests[i], exponent = exponents[i];
        uint16_t number = (uint16_t)((rest & 0x80) << 8 | exponent << 7 | (rest & 0x7f));
        STORE(numbers + 2 * i, number);
    }
}

/* Where a field of every record goes: `width` bytes at `offset` of it, to the stream of this number,
 * behind `before` bytes of every record that come first there. */
struct field {
    uint32_t offset, width, stream, before;
};

/* Records taken together: they and their fields stay in a core's first cache meanwhile. */
#define TILE 64

/* With the width known to the compiler, the copy is a few instructions. */
static inline void copy_field(uint8_t *restrict to, size_t to_step, const uint8_t *restrict from,
                              size_t from_step, size_t count, size_t width) {
#define LOOP(n) for (size_t i = 0; i < count; i++) memcpy(to + i * to_step, from + i * from_step, n)
    switch (width) {
    case 1: LOOP(1); break;
    case 4: LOOP(4); break;
    case 8: LOOP(8); break;
    case 16: LOOP(16); break;
    case 32: LOOP(32); break;
    case 64: LOOP(64); break;
    case 128: LOOP(128); break;
    default: LOOP(width);
    }
#undef LOOP
}

/* Records of `record` bytes, taken apart into their `length` fields. */
void weights_split_fields(uint8_t *const *streams, const uint8_t *records, size_t count,
                          size_t record, const struct field *fields, size_t length) {
    for (size_t first = 0; first < count; first += TILE) {
        size_t number = count - first < TILE ? count - first : TILE;
        for (size_t k = 0; k < length; k++) {
            struct field field = fields[k];
            uint8_t *run = streams[field.stream] + field.before * count + first * field.width;
            copy_field(run, field.width, records + first * record + field.offset, record, number,
                       field.width);
        }
    }
}

void weights_join_fields(uint8_t *records, const uint8_t *const *streams, size_t count,
                         size_t record, const struct field *fields, size_t length) {
    for (size_t first = 0; first < count; first += TILE) {
        size_t number = count - first < TILE ? count - first : TILE;
        for (size_t k = 0; k < length; k++) {
            struct field field = fields[k];
            const uint8_t *run = streams[field.stream] + field.before * count + first * field.width;
            copy_field(records + first * record + field.offset, record, run, field.width, number,
                       field.width);
        }
    }
}
