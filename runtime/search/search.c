/* The loops of a search through an index of documents.
 *
 * runtime/search/loops.py calls them, FORMAT.md ("The kind `documents`") has the layout of what they
 * read. It is mapped from a file that may be a stranger's: every number in it is checked before it is
 * used as a place. All numbers are little-endian, as the processors are that this is compiled for.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The best results so far: a heap with the worst of them on top. */
struct best {
    uint32_t *numbers;
    float *scores;
    size_t count, most;
};

/* Of equal ones the later is worse, so that the same search always finds the same. */
static int is_worse(const struct best *best, size_t a, size_t b) {
    if (best->scores[a] != best->scores[b]) return best->scores[a] < best->scores[b];
    return best->numbers[a] > best->numbers[b];
}

static void swap(struct best *best, size_t a, size_t b) {
    uint32_t number = best->numbers[a];
    float score = best->scores[a];
    best->numbers[a] = best->numbers[b], best->scores[a] = best->scores[b];
    best->numbers[b] = number, best->scores[b] = score;
}

static void offer(struct best *best, uint32_t number, float score) {
    size_t at = best->count;
    if (at < best->most) {
        best->numbers[at] = number, best->scores[at] = score;
        best->count++;
        while (at && is_worse(best, at, (at - 1) / 2)) {
            swap(best, at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        return;
    }
    /* Numbers come in order, so an equal one is worse; what is no number is not better either. */
    if (!best->most || !(score > best->scores[0])) return;
    best->numbers[0] = number, best->scores[0] = score;
    for (at = 0;;) {
        size_t next = 2 * at + 1;
        if (next >= best->count) return;
        if (next + 1 < best->count && is_worse(best, next + 1, next)) next++;
        if (!is_worse(best, next, at)) return;
        swap(best, next, at);
        at = next;
    }
}

/* Whether a piece may be found: a bit for each, or no bits where all may. */
static inline int allowed(const uint8_t *bits, size_t number) {
    return !bits || (bits[number >> 3] >> (number & 7) & 1);
}

/* Forbid the pieces whose field has a value that is not wanted. `rows` have `width` fields each;
 * `wanted` has a byte for each of the `values` that the field can have. */
void search_select(uint8_t *bits, const uint32_t *rows, size_t count, size_t width, size_t field,
                   const uint8_t *wanted, size_t values) {
    for (size_t i = 0; i < count; i++) {
        uint32_t value = rows[i * width + field];
        if (value >= values || !wanted[value]) bits[i >> 3] &= (uint8_t)~(1u << (i & 7));
    }
}

/* Write the numbers of the first `most` terms that contain a word; return how many there are. `ends`
 * has where the bytes of each of the terms end, which are `size` together. */
size_t search_containing(const uint8_t *content, size_t size, const uint32_t *ends, size_t terms,
                         const uint8_t *word, size_t length, size_t most, uint32_t *numbers) {
    size_t found = 0, term = 0, begin = 0, at = 0;
    while (length && found < most && length <= size && at <= size - length) {
        const uint8_t *next = memchr(content + at, word[0], size - length - at + 1);
        if (!next) break;
        at = (size_t)(next - content);
        while (term < terms && ends[term] <= at) begin = ends[term++];
        if (term == terms) break;
        if (begin <= at && at + length <= ends[term] && !memcmp(next, word, length)) {
            numbers[found++] = (uint32_t)term;
            at = ends[term]; /* one that has it twice is the same */
        } else {
            at++;
        }
    }
    return found;
}

/* Add to `scores` what a term is worth in each piece that contains it, by BM25. Its list has for
 * each of them a number of 7 bits a byte, the lowest first and the last below 128: twice the distance
 * from the piece before, and 1 more where another such number says how often it is there. Return 0,
 * or -1 where the list is damaged. */
int search_score(float *scores, size_t pieces, const uint8_t *list, size_t size,
                 const uint16_t *lengths, float average, float weight) {
    const float k1 = 0.9f, b = 0.4f; /* pieces are of much the same length */
    const float flat = k1 * (1 - b), slope = average > 0 ? k1 * b / average : 0;
    const uint8_t *end = list + size;
    uint64_t number = (uint64_t)-1;
    while (list < end) {
        uint64_t value = 0, times = 1;
        for (int part = 0, shift = 0, done = 0; part < 2 && !done; part++, shift = 0) {
            uint64_t found = 0;
            for (;; shift += 7) {
                if (list == end || shift > 35) return -1;
                uint8_t byte = *list++;
                found |= (uint64_t)(byte & 127) << shift;
                if (byte < 128) break;
            }
            if (part) times = found;
            else value = found, done = !(value & 1);
        }
        number += value >> 1; /* the first one counts from -1 */
        if (number >= pieces || !(value >> 1)) return -1;
        float often = (float)times;
        scores[number] += weight * often / (often + flat + slope * (float)lengths[number]);
    }
    return 0;
}

/* Write the `most` best pieces, of those with any score; return how many there are. */
size_t search_best(const float *scores, size_t pieces, const uint8_t *bits, size_t most,
                   uint32_t *numbers, float *best_scores) {
    struct best best = {numbers, best_scores, 0, most};
    for (size_t i = 0; i < pieces; i++)
        if (scores[i] > 0 && allowed(bits, i)) offer(&best, (uint32_t)i, scores[i]);
    return best.count;
}

/* Write a vector as whole numbers of up to `limit`, and the sum of its squares; return its largest
 * number, 0 where it has no direction. */
static float rounded(const float *vector, size_t dimensions, float limit, int32_t *numbers,
                     double *squares) {
    float largest = 0;
    *squares = 0;
    for (size_t i = 0; i < dimensions; i++) {
        if (!isfinite(vector[i])) return 0;
        *squares += (double)vector[i] * vector[i];
        if (fabsf(vector[i]) > largest) largest = fabsf(vector[i]);
    }
    if (largest == 0) return 0;
    for (size_t i = 0; i < dimensions; i++) {
        double number = (double)vector[i] * limit / largest;
        numbers[i] = (int32_t)(number < 0 ? number - 0.5 : number + 0.5);
    }
    return largest;
}

/* A row of the index: numbers from -127 to 127. `scratch` has room for as many of 32 bits. */
float search_row(const float *vector, size_t dimensions, int32_t *scratch, int8_t *row,
                 double *squares) {
    float largest = rounded(vector, dimensions, 127, scratch, squares);
    for (size_t i = 0; largest != 0 && i < dimensions; i++) row[i] = (int8_t)scratch[i];
    return largest;
}

/* A question: `limit` is as high as sums of products with a row's numbers allow. */
float search_question(const float *vector, size_t dimensions, float limit, int32_t *scratch,
                      int16_t *question, double *squares) {
    float largest = rounded(vector, dimensions, limit, scratch, squares);
    for (size_t i = 0; largest != 0 && i < dimensions; i++) question[i] = (int16_t)scratch[i];
    return largest;
}

struct scan {
    const int8_t *rows;
    const float *scales;
    size_t pieces, width; /* numbers of a row, with the zeros at its end */
    const int16_t *question;
    float scale;
    const uint8_t *bits;
};

/* As a loop that compilers make vectors of: 16 products a step where there is AVX2. */
static inline __attribute__((always_inline)) void scan_rows(const struct scan *scan,
                                                            struct best *best) {
    const int16_t *restrict question = scan->question;
    for (size_t i = 0; i < scan->pieces; i++) {
        if (!allowed(scan->bits, i)) continue;
        const int8_t *restrict row = scan->rows + i * scan->width;
        int32_t sum = 0;
        for (size_t j = 0; j < scan->width; j++) sum += row[j] * question[j];
        float score = (float)sum * scan->scales[i] * scan->scale;
        if (score == score) offer(best, (uint32_t)i, score);
    }
}

static void scan_plainly(const struct scan *scan, struct best *best) { scan_rows(scan, best); }

#ifdef __x86_64__
#include <cpuid.h>

__attribute__((target("avx2"))) static void scan_avx2(const struct scan *scan, struct best *best) {
    scan_rows(scan, best);
}

/* Not __builtin_cpu_supports: what it asks is not in every compiler's library. */
static int has_avx2(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    if ((a & 6) != 6) return 0; /* the system keeps the registers of AVX */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
#endif

/* Write the `most` pieces whose vectors point the most like the question; return how many. */
size_t search_nearest(const int8_t *rows, const float *scales, size_t pieces, size_t width,
                      const int16_t *question, float scale, const uint8_t *bits, size_t most,
                      uint32_t *numbers, float *scores) {
    struct scan scan = {rows, scales, pieces, width, question, scale, bits};
    struct best best = {numbers, scores, 0, most};
    void (*run)(const struct scan *, struct best *) = scan_plainly;
#ifdef __x86_64__
    if (has_avx2()) run = scan_avx2;
#endif
    run(&scan, &best);
    return best.count;
}
