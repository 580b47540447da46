// Files of the archive, written into a folder, and compared with those in it.

#include "first_stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP (1 << 20)
#define DEPTH_MAX 64  // of folders in folders; ours have four

static int write_all(int out, const char * data, size_t size) {
    while (size) {
        const ssize_t written = write(out, data, size);
        if (written < 0 && errno != EINTR) {
            return errno;
        }
        if (written > 0) {
            data += written;
            size -= (size_t) written;
        }
    }
    return 0;
}

// The archive's bytes as they lie in the file; return null where they cannot be mapped.
static const char * map_entry(const struct program * program, const struct entry * entry, size_t * before) {
    const uint64_t begin = program->archive + entry->offset;
    *before = (size_t) (begin % (uint64_t) sysconf(_SC_PAGESIZE));
    void * mapped = mmap(NULL, *before + entry->size, PROT_READ, MAP_PRIVATE, program->fd, (off_t) (begin - *before));
    return mapped == MAP_FAILED ? NULL : (const char *) mapped + *before;
}

static void unmap_entry(const char * data, const struct entry * entry, size_t before) {
    munmap((void *) (data - before), before + entry->size);
}

static int copy(const struct program * program, const struct entry * entry, int out) {
    off_t from = (off_t) (program->archive + entry->offset);
    size_t left = entry->size;
    while (left) {  // shares blocks where the file system can
        const ssize_t moved = copy_file_range(program->fd, &from, out, NULL, left, 0);
        if (moved <= 0) {
            break;
        }
        left -= (size_t) moved;
    }
    if (!left) {
        return 0;
    }
    const struct entry rest = { entry->name, entry->offset + (entry->size - (uint32_t) left), (uint32_t) left };
    size_t before;
    const char * data = map_entry(program, &rest, &before);
    if (!data) {
        return errno;
    }
    const int failed = write_all(out, data, left);
    unmap_entry(data, &rest, before);
    return failed;
}

// Make the folders of an entry's path.
static int make_parents(int at, const char * name) {
    char path[PATH_SIZE];
    for (const char * slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(path, name, (size_t) (slash - name));
        path[slash - name] = 0;
        if (mkdirat(at, path, 0700) && errno != EEXIST) {
            return errno;
        }
    }
    return 0;
}

int unpack(const struct program * program, int at) {
    for (size_t i = 0; i < program->count; i++) {
        const struct entry * entry = &program->entries[i];
        int failed = make_parents(at, entry->name);
        if (failed) {
            return failed;
        }
        const int out = openat(at, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (out < 0) {
            return errno;
        }
        failed = copy(program, entry, out);
        if (close(out) && !failed) {
            failed = errno;  // quotas of network file systems are found out here
        }
        if (failed) {
            return failed;
        }
    }
    return 0;
}

bool unpacked_sizes(const struct program * program, int at) {
    for (size_t i = 0; i < program->count; i++) {
        struct stat status;
        if (fstatat(at, program->entries[i].name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode) ||
            status.st_size != (off_t) program->entries[i].size) {
            return false;
        }
    }
    return true;
}

static bool same_content(const struct program * program, const struct entry * entry, int fd, char * buffer) {
    size_t before;
    const char * data = map_entry(program, entry, &before);
    bool same = data != NULL;
    for (size_t done = 0; same && done < entry->size;) {
        const ssize_t got = read(fd, buffer, entry->size - done < STEP ? entry->size - done : STEP);
        same = got > 0 && memcmp(buffer, data + done, (size_t) got) == 0;
        done += same ? (size_t) got : 0;
    }
    if (data) {
        unmap_entry(data, entry, before);
    }
    return same;
}

bool unpacked_content(const struct program * program, int at) {
    char * buffer = malloc(STEP);
    bool same = buffer != NULL;
    for (size_t i = 0; same && i < program->count; i++) {
        const int fd = openat(at, program->entries[i].name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        same = fd >= 0 && same_content(program, &program->entries[i], fd, buffer);
        if (fd >= 0) {
            close(fd);
        }
    }
    free(buffer);
    return same;
}

static void delete_inside(int at, int depth) {
    DIR * folder = fdopendir(at);
    if (!folder) {
        close(at);
        return;
    }
    for (struct dirent * found; (found = readdir(folder));) {
        const char * name = found->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !unlinkat(dirfd(folder), name, 0)) {
            continue;
        }
        const int inner = openat(dirfd(folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0 && depth < DEPTH_MAX) {
            delete_inside(inner, depth + 1);
            unlinkat(dirfd(folder), name, AT_REMOVEDIR);
        } else if (inner >= 0) {
            close(inner);
        }
    }
    closedir(folder);
}

void delete_folder(const char * path) {
    const int at = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at >= 0) {
        delete_inside(at, 0);
        rmdir(path);
    }
}
