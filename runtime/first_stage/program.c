// The program's own file: its footer (FORMAT.md) and the archive's table of contents
// (PyInstaller/archive/writers.py, CArchiveWriter).

#include "first_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOOTER_MAGIC "MODELEMB"
#define FOOTER_SIZE 124
#define COOKIE_MAGIC "MEI\014\013\012\013\016"
#define COOKIE_SIZE 88
#define ENTRY_SIZE 18
#define TAIL_SIZE 65536  // the footer starts in the last so many bytes
#define ARCHIVE_MAX (UINT64_C(1) << 30)
#define AGAIN "copy or download it again"

static _Noreturn void damaged(const struct program * program, const char * what) {
    fail(AGAIN, "%s is damaged: %s", program->path, what);
}

static uint64_t little(const unsigned char * at, int size) {
    uint64_t value = 0;
    while (size--) {
        value = value << 8 | at[size];
    }
    return value;
}

static uint32_t big(const unsigned char * at) {
    return (uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | at[3];
}

static uint32_t crc32(const unsigned char * data, size_t size) {
    uint32_t crc = ~UINT32_C(0);
    while (size--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
        }
    }
    return ~crc;
}

static void read_at(const struct program * program, void * target, size_t size, uint64_t offset) {
    char * to = target;
    while (size) {
        const ssize_t got = pread(program->fd, to, size, (off_t) offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            fail(AGAIN, "%s cannot be read: %s", program->path, got ? strerror(errno) : "it is cut short");
        }
        to += got;
        offset += (uint64_t) got;
        size -= (size_t) got;
    }
}

// Return the last footer in the tail, null if there is none.
static const unsigned char * last_footer(const unsigned char * tail, size_t size) {
    const size_t length = strlen(FOOTER_MAGIC);
    for (size_t place = size >= length ? size - length + 1 : 0; place--;) {
        if (memcmp(tail + place, FOOTER_MAGIC, length) == 0) {
            return place + FOOTER_SIZE <= size ? tail + place : NULL;
        }
    }
    return NULL;
}

static bool is_unpacked(char kind) {
    return kind == 'b' || kind == 'x' || kind == 'Z';
}

// CPU variants are unpacked by the program, which needs one of them; what is compressed, where there
// is a GPU.
static bool is_for_later(const char * name) {
    const size_t length = strlen(name);
    return strstr(name, "/libggml-cpu-") != NULL || (length > 4 && strcmp(name + length - 4, ".zst") == 0);
}

static bool is_inside(const char * name) {
    if (!*name || *name == '/') {
        return false;
    }
    for (const char * part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2])) {
            return false;
        }
    }
    return strlen(name) < PATH_SIZE / 2;
}

static void read_entries(struct program * program, const unsigned char * toc, size_t size, uint64_t archive_size) {
    program->entries = calloc(size / ENTRY_SIZE + 1, sizeof *program->entries);
    if (!program->entries) {
        fail("close other programs", "there is no memory left");
    }
    for (size_t place = 0; place < size;) {
        const unsigned char * at = toc + place;
        const uint32_t length = size - place > ENTRY_SIZE ? big(at) : 0;
        const char * name = (const char *) at + ENTRY_SIZE;
        if (length <= ENTRY_SIZE || length > size - place || !memchr(name, 0, length - ENTRY_SIZE)) {
            damaged(program, "its table of contents makes no sense");
        }
        place += length;
        const struct entry entry = { name, big(at + 4), big(at + 8) };
        if (!is_unpacked((char) at[17]) || is_for_later(name)) {
            continue;
        }
        if (at[16] || !is_inside(name) || entry.size != big(at + 12) ||
            (uint64_t) entry.offset + entry.size > archive_size) {
            damaged(program, "its table of contents names what cannot be unpacked");
        }
        program->entries[program->count++] = entry;
        program->unpacked += entry.size;
    }
    if (!program->count || strcmp(program->entries[0].name, MARKER) != 0) {
        damaged(program, "its table of contents is not in order");
    }
}

void program_open(struct program * program) {
    const ssize_t length = readlink("/proc/self/exe", program->path, PATH_SIZE - 1);
    program->path[length > 0 ? length : 0] = 0;
    program->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (length <= 0 || program->fd < 0 || fstat(program->fd, &status)) {
        fail("/proc must be mounted, and the program's file be readable: chmod u+r FILE",
             "this program cannot read itself: %s", strerror(errno));
    }
    static unsigned char tail[TAIL_SIZE];
    const uint64_t size = (uint64_t) status.st_size;
    const size_t taken = size < TAIL_SIZE ? (size_t) size : TAIL_SIZE;
    read_at(program, tail, taken, size - taken);
    const unsigned char * footer = last_footer(tail, taken);
    if (!footer) {
        damaged(program, "its end is missing");
    }
    if (little(footer + 120, 4) != crc32(footer, 120)) {
        damaged(program, "its footer's checksum does not match");
    }
    program->archive = little(footer + 40, 8);
    const uint64_t archive_size = little(footer + 48, 8);
    const uint64_t place = little(footer + 56, 8);
    if (place != size - taken + (uint64_t) (footer - tail)) {
        damaged(program, "its footer is not where it belongs");
    }
    if (archive_size < COOKIE_SIZE || archive_size > ARCHIVE_MAX || program->archive + archive_size != place) {
        damaged(program, "its footer makes no sense");
    }
    memcpy(program->id, footer + 104, ID_SIZE);
    unsigned char cookie[COOKIE_SIZE];
    read_at(program, cookie, COOKIE_SIZE, place - COOKIE_SIZE);
    const uint64_t toc_offset = big(cookie + 12), toc_size = big(cookie + 16);
    if (memcmp(cookie, COOKIE_MAGIC, 8) != 0 || big(cookie + 8) != archive_size ||
        toc_offset + toc_size > archive_size) {
        damaged(program, "its archive has no end");
    }
    unsigned char * toc = malloc(toc_size + 1);
    if (!toc) {
        fail("close other programs", "there is no memory left");
    }
    read_at(program, toc, toc_size, program->archive + toc_offset);
    read_entries(program, toc, toc_size, archive_size);
}
