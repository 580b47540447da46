#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool has_room(int at, uint64_t size, char * why) {
    struct statvfs found;
    if (fstatvfs(at, &found)) {
        return true;  // not known: writing will tell
    }
    const uint64_t left = (uint64_t) found.f_bavail * found.f_frsize;
    snprintf(why, WHY_SIZE, "it has only %llu MB left", (unsigned long long) (left / 1000000));
    return left >= size;
}

bool may_run(int at) {
    const int fd = openat(at, MARKER, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    void * mapped = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) {
        return false;
    }
    munmap(mapped, 1);
    return true;
}

void explain(int number, char * why) {
    const char * text = number == ENOENT                         ? "there is no such folder"
                        : number == ENOTDIR                      ? "it is not a folder"
                        : number == EROFS                        ? "nothing can be written there"
                        : number == EACCES || number == EPERM    ? "you may not write there"
                        : number == ENOSPC || number == EDQUOT   ? "it is full"
                                                                 : strerror(number);
    snprintf(why, WHY_SIZE, "%s", text);
}
