// The first stage of a produced file: it unpacks the runtime, or finds it unpacked, and hands over to
// PyInstaller's launcher, which lies in the same file, as that one's own first process would.
//
// A static program, so that it can say what is wrong with a system on which nothing else starts.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where the launcher lies in the file; FORMAT.md, "Launcher".
#define LAUNCHER_OFFSET 131072
// Bytes of the archive's SHA-256 that name an unpacked runtime.
#define ID_SIZE 16
// Bytes of a path, with its end.
#define PATH_SIZE 4096
// PyInstaller's launcher takes a folder with a name of this form alone: "_MEI", 8 hexadecimal digits,
// 6 characters.
#define FOLDER_NAME_SIZE 19
// The first file of every archive, and all that a folder being unpacked has at first. It tells our
// folders from those of other programs; runtime/host/unpack_dir.py has the same name.
#define MARKER ".modelembed.lock"

// A file of the archive.
struct entry {
    const char * name;  // a relative path without ".."
    uint32_t offset;    // in the archive
    uint32_t size;
};

// The running program's file.
struct program {
    int fd;
    char path[PATH_SIZE];
    unsigned char id[ID_SIZE];
    uint64_t archive;  // where it begins
    struct entry * entries;
    size_t count;
    uint64_t unpacked;  // bytes of all entries
};

// A folder with the unpacked runtime.
struct folder {
    char path[PATH_SIZE];
    bool kept;  // for the next start
};

// Say what is wrong and what helps, as the program itself does, and exit.
_Noreturn void fail(const char * hint, const char * format, ...) __attribute__((format(printf, 2, 3)));

// Open the running program's file and read what is in it; fail where that is damaged.
void program_open(struct program * program);

// Write all entries into the empty folder open as `at`; return 0, or errno.
int unpack(const struct program * program, int at);
// Whether the files in the folder open as `at` have the sizes of the entries.
bool unpacked_sizes(const struct program * program, int at);
// Whether they are what the archive holds.
bool unpacked_content(const struct program * program, int at);
// Delete a folder, and all in it; what cannot be deleted stays.
void delete_folder(const char * path);

// Find the runtime kept in the user's cache, or unpack it there; return whether that went well.
bool folder_kept(const struct program * program, struct folder * folder);
// Unpack the runtime for this run; fail, naming all that was tried, where there is no place for it.
void folder_temporary(const struct program * program, struct folder * folder);
// The user's cache folder; return false where there is none.
bool cache_folder(char * path);

// What the kernel tells this program; it lies behind the environment, so long as that is unchanged.
const void * told_by_kernel(void);
// Go on as PyInstaller's launcher, with main's `arguments` and the environment `environ`.
_Noreturn void hand_over(const struct program * program, char ** arguments, const void * told);
