/* Take the bytes of weights apart into streams that compress well, and put them together again.
 *
 * The loops of runtime/weights.py, which says what they are for. What is split goes to one place,
 * stream after stream; what is joined comes from a place for each. All numbers are little-endian, as in GGUF, and no pointer needs to be aligned:
 * compilers turn each memcpy of a number into one instruction.
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

/* With the width known to the compiler, the copy is a few instructions. */
#define FOR_WIDTH(LOOP)                                                                           \
    switch (width) {                                                                              \
    case 1: LOOP(1); break;                                                                       \
    case 2: LOOP(2); break;                                                                       \
    case 4: LOOP(4); break;                                                                       \
    case 8: LOOP(8); break;                                                                       \
    case 12: LOOP(12); break;                                                                     \
    case 16: LOOP(16); break;                                                                     \
    case 32: LOOP(32); break;                                                                     \
    case 64: LOOP(64); break;                                                                     \
    case 128: LOOP(128); break;                                                                   \
    default: LOOP(width);                                                                         \
    }

/* The `width` bytes that begin each record of `record` bytes, as one run. */
void weights_split_run(uint8_t *restrict streams, const uint8_t *restrict records, size_t count,
                       size_t record, size_t width) {
#define LOOP(n) for (size_t i = 0; i < count; i++) memcpy(streams + i * n, records + i * record, n)
    FOR_WIDTH(LOOP)
#undef LOOP
}

void weights_join_run(uint8_t *restrict records, const uint8_t *restrict stream, size_t count,
                      size_t record, size_t width) {
#define LOOP(n) for (size_t i = 0; i < count; i++) memcpy(records + i * record, stream + i * n, n)
    FOR_WIDTH(LOOP)
#undef LOOP
}

/* The same bytes as `width` streams: the first byte of every record, then the second … */
void weights_split_planes(uint8_t *restrict streams, const uint8_t *restrict records, size_t count,
                          size_t record, size_t width) {
#define LOOP(n)                                                                                   \
    for (size_t i = 0; i < count; i++)                                                            \
        for (size_t k = 0; k < n; k++) streams[k * count + i] = records[i * record + k]
    FOR_WIDTH(LOOP)
#undef LOOP
}

void weights_join_planes(uint8_t *restrict records, const uint8_t *restrict stream, size_t count,
                         size_t record, size_t width) {
#define LOOP(n)                                                                                   \
    for (size_t i = 0; i < count; i++)                                                            \
        for (size_t k = 0; k < n; k++) records[i * record + k] = stream[k * count + i]
    FOR_WIDTH(LOOP)
#undef LOOP
}
