#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// PyInstaller's launcher would take these for another process's of this program.
static const char * const FOREIGN[] = {
    "_PYI_SPLASH_IPC", "_PYI_LINUX_PROCESS_NAME", "PYINSTALLER_RESET_ENVIRONMENT", "LD_LIBRARY_PATH_ORIG",
};

// Whether the user asks for `flag`: it stands before any "--".
static bool is_asked(char ** arguments, const char * flag) {
    for (char ** argument = arguments + 1; argument[-1] && *argument && strcmp(*argument, "--") != 0; argument++) {
        if (strcmp(*argument, flag) == 0) {
            return true;
        }
    }
    return false;
}

static void set(const char * name, const char * value) {
    if (setenv(name, value, 1)) {
        fail("close other programs", "there is no memory left");
    }
}

// Let libraries be found in the folder first, as the launcher's own first process does.
static void set_library_path(const char * path) {
    const char * before = getenv("LD_LIBRARY_PATH");
    if (!before) {
        set("LD_LIBRARY_PATH", path);
        return;
    }
    char * joined = malloc(strlen(path) + strlen(before) + 2);
    if (!joined) {
        fail("close other programs", "there is no memory left");
    }
    sprintf(joined, "%s:%s", path, before);
    set("LD_LIBRARY_PATH_ORIG", before);
    set("LD_LIBRARY_PATH", joined);
}

int main(int argc, char ** argv) {
    (void) argc;
    static struct program program;
    static struct folder folder;
    const void * told = told_by_kernel();
    for (size_t i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++) {
        unsetenv(FOREIGN[i]);
    }
    program_open(&program);
    if (is_asked(argv, "--no-keep") || !folder_kept(&program, &folder)) {
        folder_temporary(&program, &folder);
    }
    set("_PYI_ARCHIVE_FILE", program.path);
    set("_PYI_PARENT_PROCESS_LEVEL", "1");
    set("_PYI_APPLICATION_HOME_DIR", folder.path);
    set_library_path(folder.path);
    if (!folder.kept) {
        watch(folder.path);
    }
    hand_over(&program, argv, told);
}
