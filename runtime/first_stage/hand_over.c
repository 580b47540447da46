// The launcher, mapped and started out of the middle of the program's file.
//
// What execve does, done here: no system call starts a program that begins inside of a file, and a
// copy of the launcher elsewhere would take itself for the program. See the System V ABI, "Process
// Initialization", for what the stack holds, and elf(5).

#include "first_stage.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define SEGMENTS_MAX 32

extern char ** environ;

struct image {
    uintptr_t bias;   // what is added to the addresses in the file
    uintptr_t entry;  // where it begins
    uintptr_t segments;
    size_t segment_count;
    char loader[PATH_SIZE];  // empty if it needs none
};

static uintptr_t page;  // bytes

static uintptr_t down(uintptr_t address) {
    return address / page * page;
}

static uintptr_t up(uintptr_t address) {
    return down(address + page - 1);
}

static int protection(Elf64_Word flags) {
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

// Map one segment; return whether that went well.
static bool map_segment(int fd, off_t offset, uintptr_t bias, const Elf64_Phdr * segment, int fixed) {
    const uintptr_t begin = bias + segment->p_vaddr, start = down(begin);
    const uintptr_t file_end = begin + segment->p_filesz, end = begin + segment->p_memsz;
    const int allowed = protection(segment->p_flags);
    const off_t from = offset + (off_t) segment->p_offset - (off_t) (begin - start);
    if (segment->p_filesz) {
        void * mapped = mmap((void *) start, file_end - start, allowed, MAP_PRIVATE | fixed, fd, from);
        if (mapped != (void *) start) {
            return false;
        }
    }
    if (end <= file_end) {
        return true;
    }
    if (segment->p_filesz && (allowed & PROT_WRITE)) {
        memset((void *) file_end, 0, up(file_end) - file_end);
    }
    const uintptr_t rest = segment->p_filesz ? up(file_end) : start;
    if (up(end) <= rest) {
        return true;
    }
    void * mapped = mmap((void *) rest, up(end) - rest, allowed, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
    return mapped == (void *) rest;
}

// Map the ELF file that begins at `offset`; return whether that went well.
static bool map_image(int fd, off_t offset, struct image * image) {
    Elf64_Ehdr header;
    Elf64_Phdr segments[SEGMENTS_MAX];
    errno = ENOEXEC;
    if (pread(fd, &header, sizeof header, offset) != sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof *segments || !header.e_phnum || header.e_phnum > SEGMENTS_MAX) {
        return false;
    }
    const ssize_t size = header.e_phnum * (ssize_t) sizeof *segments;
    if (pread(fd, segments, (size_t) size, offset + (off_t) header.e_phoff) != size) {
        return false;
    }
    uintptr_t lowest = UINTPTR_MAX, highest = 0;
    for (size_t i = 0; i < header.e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) {
            const uintptr_t begin = down(segments[i].p_vaddr), end = up(segments[i].p_vaddr + segments[i].p_memsz);
            lowest = begin < lowest ? begin : lowest;
            highest = end > highest ? end : highest;
        }
    }
    if (lowest >= highest) {
        return false;
    }
    int fixed = MAP_FIXED_NOREPLACE;  // an older kernel maps elsewhere instead, which is noticed
    image->bias = 0;
    if (header.e_type == ET_DYN) {
        void * room = mmap(NULL, highest - lowest, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED) {
            return false;
        }
        image->bias = (uintptr_t) room - lowest;
        fixed = MAP_FIXED;
    }
    image->entry = image->bias + header.e_entry;
    image->segment_count = header.e_phnum;
    image->loader[0] = 0;
    for (size_t i = 0; i < header.e_phnum; i++) {
        const Elf64_Phdr * segment = &segments[i];
        if (segment->p_type == PT_LOAD) {
            if (!map_segment(fd, offset, image->bias, segment, fixed)) {
                return false;
            }
            if (header.e_phoff >= segment->p_offset && header.e_phoff < segment->p_offset + segment->p_filesz) {
                image->segments = image->bias + segment->p_vaddr + (header.e_phoff - segment->p_offset);
            }
        } else if (segment->p_type == PT_INTERP && segment->p_filesz < PATH_SIZE) {
            const ssize_t length = pread(fd, image->loader, segment->p_filesz, offset + (off_t) segment->p_offset);
            image->loader[length > 0 ? length : 0] = 0;
        }
    }
    return true;
}

// What the kernel tells a program, changed to tell it of the launcher.
static void retell(Elf64_auxv_t * told, const struct image * launcher, const struct image * loader) {
    for (; told->a_type != AT_NULL; told++) {
        switch (told->a_type) {
            case AT_PHDR: told->a_un.a_val = launcher->segments; break;
            case AT_PHNUM: told->a_un.a_val = launcher->segment_count; break;
            case AT_ENTRY: told->a_un.a_val = launcher->entry; break;
            case AT_BASE: told->a_un.a_val = loader->bias; break;
            default: break;
        }
    }
}

static _Noreturn void jump(uintptr_t entry, void * stack) {
#if defined(__x86_64__)
    __asm__ volatile("mov %0, %%rsp\n\txor %%edx, %%edx\n\txor %%ebp, %%ebp\n\tjmp *%1" ::"r"(stack), "r"(entry)
                     : "memory", "rdx");
#elif defined(__aarch64__)
    __asm__ volatile("mov sp, %0\n\tmov x0, #0\n\tmov x29, #0\n\tmov x30, #0\n\tbr %1" ::"r"(stack), "r"(entry)
                     : "memory", "x0", "x30");
#else
#error "how a program begins on this processor is not known here"
#endif
    __builtin_unreachable();
}

const void * told_by_kernel(void) {
    char ** variable = environ;
    while (*variable++) {
    }
    return variable;
}

void hand_over(const struct program * program, char ** arguments, const void * told_then) {
    page = getauxval(AT_PAGESZ);
    struct image launcher, loader;
    if (!map_image(program->fd, LAUNCHER_OFFSET, &launcher)) {
        fail("copy or download it again", "the launcher in %s cannot be used: %s", program->path, strerror(errno));
    }
    const int fd = open(launcher.loader, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !map_image(fd, 0, &loader)) {
        fail("run it on a system with glibc, such as Debian, Ubuntu, Fedora or openSUSE",
             "this system lacks %s, the loader of programs: %s", launcher.loader, strerror(errno));
    }
    close(fd);
    close(program->fd);

    // On the stack of a program that begins lie, upwards: the number of arguments, the arguments, null,
    // the environment, null, and what the kernel tells. The strings stay where they are.
    size_t argument_count = 0, variable_count = 0, told_count = 0;
    while (arguments[argument_count]) {
        argument_count++;
    }
    while (environ[variable_count]) {
        variable_count++;
    }
    const Elf64_auxv_t * told = told_then;
    while (told[told_count++].a_type != AT_NULL) {
    }
    const size_t words = 1 + argument_count + 1 + variable_count + 1;
    const size_t size = words * sizeof(uintptr_t) + told_count * sizeof *told;
    uintptr_t * block = __builtin_alloca_with_align(size, 16 * 8);
    uintptr_t * next = block;
    *next++ = argument_count;
    memcpy(next, arguments, (argument_count + 1) * sizeof *next);
    next += argument_count + 1;
    memcpy(next, environ, (variable_count + 1) * sizeof *next);
    next += variable_count + 1;
    memcpy(next, told, told_count * sizeof *told);
    retell((Elf64_auxv_t *) next, &launcher, &loader);
    jump(loader.entry, block);
}
