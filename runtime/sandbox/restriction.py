"""Sandbox: what the program gives up once its model is loaded.

What it reads from then on are strangers' texts: requests, grammars, templates, conversations. If
one of them ever took over the engine, it would find a process that can open no file but its own
libraries, reach no host, start no program, signal no other process and gain no privileges. What the
user may still ask for goes through a second process, see outside.py.

Two mechanisms of Linux, by the system calls in restriction.c: Landlock says which files can be
opened, seccomp which system calls can be made. Each is used where the kernel has it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.host import unpack_dir
from runtime.host.library_paths import SANDBOX, load_own

MAY_CONNECT, MAY_ACCEPT, MAY_USE_DEVICES, MAY_WRITE = 1, 2, 4, 8
"""Permissions, the numbers of restriction.c."""
DNS_PORT = 53
UNWINDER = "libgcc_s.so.1"
"""Loaded by the C library when a thread ends by pthread_exit; it aborts where it cannot."""
DEEP_STACKS = 64 << 30
"""Bytes of address space for the stacks of threads, of which hardly any is ever touched."""
PROCESS = (
    "/proc/self",  # how much memory is in use
    "/proc/meminfo",  # and how much there is, before a saved state is read
    "/sys/fs/cgroup",
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
    "/etc/localtime",
    "/usr/share/zoneinfo",  # templates ask for the date
    "/dev/urandom",  # seeds
)
NETWORK = ("/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve")
"""What looking up a host and checking its certificate may read."""
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class Policy:
    """What is left to the program."""

    accepts: bool = False
    """Whether it answers connections to sockets that are bound already."""
    ports: tuple[int, ...] = ()
    """TCP ports of other machines that it connects to; empty for no network at all."""
    keeps: str = ""
    """A folder that it may write files in, where the kernel has Landlock; empty for none."""
    devices: tuple[str, ...] = ()
    """Device files that it opens for reading and writing."""
    readable: tuple[str, ...] = ()
    """Further files and folders that it reads."""


@dataclass(frozen=True)
class Held:
    """What holds, and why other things do not."""

    files: int = 0
    """The version of Landlock in use, 0 if files are not restricted."""
    calls: bool = False
    """Whether system calls are restricted."""
    obstacles: tuple[str, ...] = ()

    def line(self) -> str:
        """Return what holds, in words."""
        parts = [f"files (Landlock {self.files})"] if self.files else []
        parts += ["programs, network and other processes (seccomp)"] if self.calls else []
        held = f"closed to {' and '.join(parts)}" if parts else "none"
        return "; ".join([held, *self.obstacles])


def enter(policy: Policy) -> Held:
    """Restrict all threads of the process, as far as the kernel can; there is no way back."""
    _prepare()
    library = _library()
    paths = [os.fsencode(path) for path in _readable(policy)]
    ports = [*policy.ports, DNS_PORT] if policy.ports else []
    keeps = os.fsencode(policy.keeps) if policy.keeps else None
    library.sandbox_leave_writable(keeps)
    files = library.sandbox_files(
        (ctypes.c_char_p * len(paths))(*paths), len(paths),
        (ctypes.c_uint16 * len(ports))(*ports), len(ports),
    )  # fmt: skip
    permissions = MAY_ACCEPT * policy.accepts | MAY_CONNECT * bool(policy.ports)
    if not files:  # without Landlock, it would be any file
        permissions |= MAY_USE_DEVICES * bool(policy.devices) | MAY_WRITE * bool(policy.keeps)
    calls = library.sandbox_calls(permissions)
    obstacles = [
        f"{what} not restricted: {os.strerror(code)}"
        for what, code in (("files are", files), ("system calls are", calls))
        if code
    ]
    return Held(0 if files else landlock(), not calls, tuple(obstacles))


def landlock() -> int:
    """Return the version of Landlock that the kernel has, 0 for none."""
    return int(_library().sandbox_landlock())


def _prepare() -> None:
    """Do what would not be possible, or not be right, later."""
    import resource

    with contextlib.suppress(OSError):
        ctypes.CDLL(UNWINDER)
    # A core dump would have the conversation in it.
    _lower(resource.RLIMIT_CORE, 0)
    page = os.sysconf("SC_PAGE_SIZE")
    memory = page * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError):
        used = page * int(Path("/proc/self/statm").read_text().split()[0])
        _lower(resource.RLIMIT_AS, used + memory + DEEP_STACKS)


def _lower(kind: int, limit: int) -> None:
    """Lower a limit of resources for good, unless the user has set a lower one."""
    import resource

    given = [value for value in resource.getrlimit(kind) if value != resource.RLIM_INFINITY]
    lowest = min([limit, *given])
    resource.setrlimit(kind, (lowest, lowest))


def _readable(policy: Policy) -> Sequence[str]:
    """Return the files and folders that may still be read: the program's own, and few others."""
    unpacked = unpack_dir.frozen_folder()
    if unpacked:
        own = [str(unpacked), sys.executable]  # Python's modules are in the executable itself
    else:
        own = [*(path for path in sys.path if path), sys.prefix, sys.base_prefix, os.getcwd()]
    paths, variables = [*own, *PROCESS, *policy.devices, *policy.readable], ["TZDIR"]
    if policy.ports:
        paths += NETWORK
        variables += CERTIFICATES
    return [*paths, *filter(None, map(os.environ.get, variables))]


@functools.cache
def _library() -> ctypes.CDLL:
    return load_own(SANDBOX)
