// A folder for this run alone, in the first place that is fit for it.

#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100
#define SPARE 4000000  // bytes, for the CPU variant and the program's own small files

// Make a folder that nobody else has a hand in; return whether that went well.
static bool make_private(const char * base, char * path) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (int i = 0; i < TRIES; i++) {
        unsigned char random[6];
        if (getrandom(random, sizeof random, 0) != sizeof random) {
            return false;
        }
        char suffix[sizeof random + 1] = "";
        for (size_t j = 0; j < sizeof random; j++) {
            suffix[j] = letters[random[j] % (sizeof letters - 1)];
        }
        // The process ID tells a later start whether this one is still there.
        if (snprintf(path, PATH_SIZE, "%s/_MEI%08lx%s", base, (unsigned long) getpid(), suffix) >= PATH_SIZE) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (!mkdir(path, 0700)) {
            return true;
        }
        if (errno != EEXIST) {
            return false;
        }
    }
    return false;
}

// Unpack into `base`; return whether that went well, else say in `why` what stands against it.
static bool try_place(const struct program * program, const char * base, char * path, char * why) {
    char absolute[PATH_MAX];
    const int at = realpath(base, absolute) ? open(absolute, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (at < 0) {
        explain(errno, why);
        return false;
    }
    const bool room = has_room(at, program->unpacked + SPARE, why);
    close(at);
    if (!room) {
        return false;
    }
    if (!make_private(absolute, path)) {
        explain(errno, why);
        return false;
    }
    const struct program first = { program->fd, "", "", program->archive, program->entries, 1, 0 };
    const struct program others = { program->fd, "", "", program->archive, program->entries + 1, program->count - 1, 0 };
    const int inside = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int failed = inside < 0 ? errno : unpack(&first, inside);
    const bool runs = !failed && may_run(inside);
    if (runs) {
        failed = unpack(&others, inside);
    }
    if (inside >= 0) {
        close(inside);
    }
    if (failed) {
        explain(failed, why);
    } else if (!runs) {
        snprintf(why, WHY_SIZE, "programs may not run from there (noexec)");
    }
    if (failed || !runs) {
        delete_folder(path);
    }
    return runs && !failed;
}

void folder_temporary(const struct program * program, struct folder * folder) {
    char cache[PATH_SIZE];
    const char * places[] = {
        getenv("TMPDIR"), "/tmp", getenv("XDG_RUNTIME_DIR"), "/dev/shm", "/var/tmp", cache_folder(cache) ? cache : NULL,
    };
    const size_t count = sizeof places / sizeof *places;
    char tried[sizeof places / sizeof *places * (WHY_SIZE + 256)] = "";
    folder->kept = false;
    for (size_t i = 0; i < count; i++) {
        char why[WHY_SIZE];
        bool known = !places[i] || !*places[i];
        for (size_t j = 0; !known && j < i; j++) {
            known = places[j] && strcmp(places[i], places[j]) == 0;
        }
        if (known) {
            continue;
        }
        if (try_place(program, places[i], folder->path, why)) {
            return;
        }
        const size_t used = strlen(tried);
        snprintf(tried + used, sizeof tried - used, "\n  %.240s: %s", places[i], why);
    }
    fail("name a folder with room, from which programs may run: TMPDIR=FOLDER in front of the command",
         "there is no place to unpack the program, which takes %llu MB for the time it runs:%s",
         (unsigned long long) ((program->unpacked + SPARE) / 1000000), tried);
}
