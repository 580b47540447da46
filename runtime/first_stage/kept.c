// The runtime kept in the user's cache from one start to the next.
//
// There it is whole or not there: it is unpacked under another name, one start at a time. What a power
// failure may have spoiled, as nothing is forced onto the disk, is compared with the archive at the
// first use after the system has started again. A folder in use is locked, and never deleted.

#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME "modelembed"
#define NAME_DIGITS 14  // of the ID, in a folder's name
#define KEPT_MAX 3      // runtimes
#define SPARE 64000000  // bytes that are left to others
#define DAY (24 * 60 * 60)
#define WAITS 500
#define WAIT_NANOSECONDS 20000000  // for another start that unpacks: 10 seconds in all
#define RECORD_SIZE 80

// Open a folder that belongs to this user alone, made where it is missing; return -1 if it does not.
static int own_folder(int at, const char * name) {
    if (mkdirat(at, name, 0700) && errno != EEXIST) {
        return -1;
    }
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    // Whoever else may write there could exchange what runs.
    if (fd >= 0 && !fstat(fd, &status) && status.st_uid == geteuid() &&
        (!(status.st_mode & 022) || !fchmod(fd, status.st_mode & 07755))) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

bool cache_folder(char * path) {
    const char * named = getenv("XDG_CACHE_HOME");
    if (named && *named == '/' && strlen(named) < PATH_SIZE / 2) {
        strcpy(path, named);
        return true;
    }
    const char * home = getenv("HOME");
    if (!home || *home != '/' || strlen(home) > PATH_SIZE / 2) {
        return false;
    }
    snprintf(path, PATH_SIZE, "%s/.cache", home);
    return true;
}

// Open the folder of all kept runtimes, and name it in `path`; return -1 where it cannot be trusted.
static int runtimes_folder(char * path) {
    char cache[PATH_SIZE], parent[PATH_SIZE];
    struct stat status;
    if (!cache_folder(cache)) {
        return -1;
    }
    strcpy(parent, cache);
    *strrchr(parent, '/') = 0;
    const bool missing = stat(cache, &status) != 0;
    if (missing && (stat(*parent ? parent : "/", &status) || status.st_uid != geteuid() || mkdir(cache, 0700))) {
        return -1;
    }
    // A cache of somebody else, as under sudo, is left alone.
    const int base = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0 || fstat(base, &status) || status.st_uid != geteuid() || status.st_mode & 002) {
        return -1;
    }
    const int ours = own_folder(base, NAME);
    close(base);
    const int found = ours < 0 ? -1 : own_folder(ours, "runtimes");
    if (ours >= 0) {
        close(ours);
    }
    snprintf(path, PATH_SIZE, "%s/%s/runtimes", cache, NAME);
    return found;
}

static void write_hex(const unsigned char * data, char * text) {
    for (int i = 0; i < ID_SIZE; i++) {
        sprintf(text + 2 * i, "%02x", data[i]);
    }
}

// What the record holds if the files are whole; return false where this start of the system has no name.
static bool record_text(const struct program * program, char * text) {
    char boot[37] = "";
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : read(fd, boot, 36);
    if (fd >= 0) {
        close(fd);
    }
    char id[2 * ID_SIZE + 1];
    write_hex(program->id, id);
    snprintf(text, RECORD_SIZE, "%s %s\n", id, boot);
    return size == 36;
}

static void write_record(const struct program * program, int at) {
    char text[RECORD_SIZE], name[32];
    record_text(program, text);
    snprintf(name, sizeof name, ".record-%ld", (long) getpid());
    const int out = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0) {
        return;
    }
    const bool written = write(out, text, strlen(text)) == (ssize_t) strlen(text);
    if (!close(out) && written) {
        renameat(at, name, at, RECORD);
    }
}

// Whether the folder open as `at` holds the whole runtime.
static bool is_whole(const struct program * program, int at) {
    char expected[RECORD_SIZE], found[RECORD_SIZE] = "";
    const bool known = record_text(program, expected);
    const int fd = openat(at, RECORD, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) || read(fd, found, RECORD_SIZE - 1) < 2 * ID_SIZE ||
        memcmp(found, expected, 2 * ID_SIZE) != 0 || !unpacked_sizes(program, at)) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    if (known && time(NULL) - status.st_mtime > DAY) {
        futimens(fd, NULL);  // those used last stay longest
    }
    close(fd);
    if (known && strcmp(found, expected) == 0) {
        return true;
    }
    if (!unpacked_content(program, at)) {
        return false;
    }
    write_record(program, at);  // without it, all is compared again
    return true;
}

// Open the kept runtime, locked for as long as this process lives; return whether it can be used.
static bool use(const struct program * program, int runtimes, const char * name) {
    const int at = openat(runtimes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status, again;
    if (at < 0) {
        return false;
    }
    if (!flock(at, LOCK_SH | LOCK_NB) && !fstat(at, &status) && !fstatat(runtimes, name, &again, AT_SYMLINK_NOFOLLOW) &&
        status.st_ino == again.st_ino && status.st_uid == geteuid() && !(status.st_mode & 077) &&
        is_whole(program, at) && may_run(at)) {
        return true;
    }
    close(at);
    return false;
}

// Whoever unpacks or deletes holds this lock; return -1 where it cannot be had.
static int lock(int runtimes) {
    const int fd = openat(runtimes, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    const struct timespec pause = { 0, WAIT_NANOSECONDS };
    for (int i = 0; fd >= 0 && i < WAITS; i++) {
        if (!flock(fd, LOCK_EX | LOCK_NB)) {
            return fd;
        }
        if (errno != EWOULDBLOCK) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static void delete_in(int runtimes, const char * path, const char * name) {
    char gone[64], whole[PATH_SIZE + 64];
    snprintf(gone, sizeof gone, ".old-%s", name);
    if (*name != '.' && !renameat(runtimes, name, runtimes, gone)) {
        name = gone;  // never half of it under its own name
    }
    snprintf(whole, sizeof whole, "%s/%s", path, name);
    delete_folder(whole);
}

// When a runtime was last used; -1 while it is.
static time_t last_use(int runtimes, const char * name) {
    const int at = openat(runtimes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0) {
        return -1;
    }
    struct stat status;
    const bool free_now = !flock(at, LOCK_EX | LOCK_NB);
    const bool known = !fstatat(at, RECORD, &status, AT_SYMLINK_NOFOLLOW);
    close(at);
    return !free_now ? -1 : known ? status.st_mtime : 0;
}

// Delete what was never finished, and the runtimes not used for longest but KEPT_MAX.
static void sweep(int runtimes, const char * path, const char * own) {
    for (;;) {
        char oldest[64] = "";
        time_t since = 0;
        int count = 0;
        const int at = openat(runtimes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR * folder = at < 0 ? NULL : fdopendir(at);
        for (struct dirent * found; folder && (found = readdir(folder));) {
            const char * name = found->d_name;
            const bool unfinished = strncmp(name, ".new-", 5) == 0 || strncmp(name, ".old-", 5) == 0;
            if (strlen(name) >= sizeof oldest || (!unfinished && strncmp(name, "_MEI", 4) != 0) || !strcmp(name, own)) {
                continue;
            }
            const time_t used = unfinished ? 0 : last_use(runtimes, name);
            count += !unfinished;
            if (unfinished) {
                count = KEPT_MAX;  // goes first
            }
            if (used >= 0 && (!*oldest || used < since)) {
                strcpy(oldest, name);
                since = used;
            }
        }
        if (folder) {
            closedir(folder);
        }
        if (!*oldest || count < KEPT_MAX) {
            return;
        }
        delete_in(runtimes, path, oldest);
        if (!faccessat(runtimes, oldest, F_OK, AT_SYMLINK_NOFOLLOW)) {
            return;  // it cannot be deleted
        }
    }
}

// Unpack the runtime; return whether it is there.
static bool make(const struct program * program, int runtimes, const char * path, const char * name) {
    char staged[64], whole[PATH_SIZE + 64], why[WHY_SIZE];
    sweep(runtimes, path, name);
    snprintf(staged, sizeof staged, ".new-%s", name);
    snprintf(whole, sizeof whole, "%s/%s", path, staged);
    if (!has_room(runtimes, 2 * program->unpacked + SPARE, why) || mkdirat(runtimes, staged, 0700)) {
        return false;
    }
    const int at = openat(runtimes, staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool made = at >= 0 && !unpack(program, at) && may_run(at);
    if (made) {
        write_record(program, at);  // without it, the runtime is not used
        delete_in(runtimes, path, name);  // a damaged one
        made = !renameat(runtimes, staged, runtimes, name);
    }
    if (at >= 0) {
        close(at);
    }
    if (!made) {
        delete_folder(whole);
    }
    return made;
}

bool folder_kept(const struct program * program, struct folder * folder) {
    char path[PATH_SIZE], id[2 * ID_SIZE + 1], name[FOLDER_NAME_SIZE];
    const int runtimes = runtimes_folder(path);
    if (runtimes < 0) {
        return false;
    }
    write_hex(program->id, id);
    snprintf(name, sizeof name, "_MEI%.*s", NAME_DIGITS, id);
    bool found = use(program, runtimes, name);
    if (!found) {
        const int held = lock(runtimes);
        if (held >= 0) {
            found = use(program, runtimes, name) ||
                    (make(program, runtimes, path, name) && use(program, runtimes, name));
            close(held);
        }
    }
    close(runtimes);
    folder->kept = true;
    return snprintf(folder->path, PATH_SIZE, "%s/%s", path, name) < PATH_SIZE && found;
}
