"""The sandbox on 64-bit ARM: its filter is read, since an emulator has no seccomp to try it."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest
from emulated import TARGET, Workshop, needs_emulator, workshop

from bundler.engine.wheels import build_own
from runtime.sandbox.restriction import MAY_ACCEPT, MAY_CONNECT

pytestmark = needs_emulator

ARM, ARM_32, X86 = 0xC00000B7, 0x40000028, 0xC000003E
"""Architectures of linux/audit.h."""
OPENAT, IOCTL, KILL, TGKILL, CLONE, SENDTO, PRLIMIT = 56, 29, 129, 131, 220, 206, 261
PROGRAMS = {"execve": 221, "execveat": 281, "ptrace": 117, "process_vm_readv": 270, "bpf": 280}
CHANGES = {
    "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38,
    "umount2": 39, "mount": 40, "pivot_root": 41, "truncate": 45, "chroot": 51, "fchmod": 52,
    "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88, "unshare": 97, "reboot": 142,
    "setuid": 146, "setns": 268, "renameat2": 276, "kexec_load": 104, "kexec_file_load": 294,
    "io_uring_setup": 425, "pidfd_open": 434, "fchmodat2": 452,
}  # fmt: skip
USED = {
    "getcwd": 17, "dup": 23, "faccessat": 48, "close": 57, "getdents64": 61, "lseek": 62,
    "read": 63, "write": 64, "pread64": 67, "ppoll": 73, "exit_group": 94, "futex": 98,
    "clock_gettime": 113, "sched_yield": 124, "rt_sigaction": 134, "munmap": 215, "mmap": 222,
    "mprotect": 226, "madvise": 233, "getrandom": 278, "memfd_create": 279,
}  # fmt: skip
"""What every program does."""
SOCKET, BIND, LISTEN, ACCEPT, CONNECT, ACCEPT4 = 198, 200, 201, 202, 203, 242

SHOWN = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...) {
    va_list rest;
    va_start(rest, number);
    unsigned long operation = va_arg(rest, unsigned long), flags = va_arg(rest, unsigned long);
    struct sock_fprog *filter = va_arg(rest, struct sock_fprog *);
    va_end(rest);
    if (number != SYS_seccomp || operation != 1 || !(flags & 1)) abort();
    fwrite(&(int){getpid()}, sizeof(int), 1, stdout);
    fwrite(filter->filter, sizeof *filter->filter, filter->len, stdout);
    return 0;
}

int main(int count, char **arguments) {
    void *library = dlopen(arguments[count - 2], RTLD_NOW);
    int (*calls)(int) = (int (*)(int))dlsym(library, "sandbox_calls");
    return calls(atoi(arguments[count - 1]));
}
"""
TRIED = r"""
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int main(int count, char **arguments) {
    void *library = dlopen(arguments[count - 1], RTLD_NOW);
    int (*landlock)(void) = (int (*)(void))dlsym(library, "sandbox_landlock");
    typedef int files_call(const char *const *, size_t, const uint16_t *, size_t);
    files_call *files = (files_call *)dlsym(library, "sandbox_files");
    int (*calls)(int) = (int (*)(int))dlsym(library, "sandbox_calls");
    printf("%d %d %d", landlock(), files(NULL, 0, NULL, 0), calls(0));
    return 0;
}
"""


class Filter:
    """A filter as the kernel gets it, and what it decides (linux/filter.h, seccomp(2))."""

    def __init__(self, shown: bytes) -> None:
        (self.process,) = struct.unpack_from("<i", shown)
        self.code = list(struct.iter_unpack("<HBBI", shown[4:]))

    def __call__(self, call: int, *arguments: int, architecture: int = ARM) -> int:
        """Return the error number that a call gets, 0 if it is allowed."""
        padded = (*arguments, *[0] * (6 - len(arguments)))
        data = struct.pack("<IIQ6Q", call, architecture, 0, *padded)
        place = value = 0
        while True:
            code, yes, no, constant = self.code[place]
            place += 1
            if code == 0x06:  # return
                if constant == 0x7FFF0000:
                    return 0
                assert constant & 0xFFFF0000 == 0x00050000, "an error number"
                return int(constant & 0xFFFF)
            if code == 0x20:  # load
                (value,) = struct.unpack_from("<I", data, constant)
                continue
            passes = {0x15: value == constant, 0x35: value >= constant, 0x45: value & constant}
            place += yes if passes[code] else no


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with workshop() as made:
        yield made


@pytest.fixture(scope="module")
def filters(shop: Workshop) -> dict[int, Filter]:
    program = shop.compile("shown", SHOWN, "-rdynamic")
    library = build_own(shop.toolchain, "libsandbox.so")
    kinds = (0, MAY_CONNECT, MAY_ACCEPT, MAY_CONNECT | MAY_ACCEPT)
    return {
        kind: Filter(shop.run([program, library, str(kind)], TARGET.processors[0]))
        for kind in kinds
    }


def test_programs_and_changes_are_refused(filters: dict[int, Filter]) -> None:
    for kind, decide in filters.items():
        for name, call in {**PROGRAMS, **CHANGES}.items():
            assert errno.EPERM == decide(call), (kind, name)


def test_what_every_program_does_is_allowed(filters: dict[int, Filter]) -> None:
    for kind, decide in filters.items():
        for name, call in USED.items():
            assert 0 == decide(call), (kind, name)


def test_calls_of_other_architectures_are_unknown(filters: dict[int, Filter]) -> None:
    for architecture in (ARM_32, X86):
        assert errno.ENOSYS == filters[0](USED["read"], architecture=architecture)
    for call in (435, 437):  # clone3 and openat2, whose flags lie in memory
        assert errno.ENOSYS == filters[0](call)


def test_files_are_opened_for_reading_alone(filters: dict[int, Filter]) -> None:
    # O_CLOEXEC, O_DIRECTORY, which is another number on ARM than on x86-64, O_LARGEFILE
    assert 0 == filters[0](OPENAT, 0, 0, 0o2000000 | 0o40000 | 0o400000)
    for flag in (0o1, 0o2, 0o100, 0o1000, 0o20000000):
        assert errno.EACCES == filters[0](OPENAT, 0, 0, flag)


def test_threads_may_start_and_processes_may_not(filters: dict[int, Filter]) -> None:
    assert 0 == filters[0](CLONE, 0x3D0F00)  # what pthread_create gives
    assert errno.EPERM == filters[0](CLONE, 17)  # SIGCHLD: fork
    assert errno.EPERM == filters[0](CLONE, 0x3D0F00 | 0x10000000)  # a user namespace


def test_other_processes_are_out_of_reach(filters: dict[int, Filter]) -> None:
    decide = filters[0]
    for call in (KILL, TGKILL):
        assert 0 == decide(call, decide.process)
        assert errno.EPERM == decide(call, decide.process + 1)
    assert (0, errno.EPERM) == (decide(PRLIMIT, 0), decide(PRLIMIT, 1))
    assert (0, errno.EPERM) == (decide(IOCTL, 0, 0x5413), decide(IOCTL, 0, 0x5412))


def test_the_network_needs_a_permission(filters: dict[int, Filter]) -> None:
    for kind, decide in filters.items():
        out = 0 if kind & MAY_CONNECT else errno.EPERM
        assert [out] * 3 == [decide(call, 2) for call in (SOCKET, CONNECT, BIND)]
        assert out == decide(SENDTO, 3, 0, 0, 0, 1 << 32)  # with an address
        assert 0 == decide(SENDTO, 3, 0, 0, 0, 0)
        into = 0 if kind & MAY_ACCEPT else errno.EPERM
        assert [into] * 3 == [decide(call) for call in (LISTEN, ACCEPT, ACCEPT4)]
    assert errno.EPERM == filters[MAY_CONNECT](SOCKET, 17)  # packets


def test_where_the_system_has_neither_it_is_said(shop: Workshop) -> None:
    program = shop.compile("tried", TRIED)
    library = build_own(shop.toolchain, "libsandbox.so")
    landlock, files, calls = map(int, shop.run([program, library], TARGET.processors[-1]).split())

    assert (0, errno.ENOSYS) == (landlock, files)
    assert calls in (errno.ENOSYS, errno.EINVAL)
