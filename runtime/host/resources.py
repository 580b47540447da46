"""CPU cores and memory available to this process, and how it gives memory back.

`os.cpu_count` and /proc/meminfo show the host's resources even inside a container, so the CPU
affinity and control groups are read as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
OWN_CGROUPS = Path("/proc/self/cgroup")
CPUS = Path("/sys/devices/system/cpu")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""
BLOCK = 4 << 20
"""Bytes from which on a block of memory is the system's own. The engine's list of candidates for a
token, 12 bytes each, is made anew for every token, and must be smaller."""
SLACK = 16 << 20
"""Bytes at the end of a heap that are kept for the next block."""
HEAPS = 2


def physical_cores() -> int:
    """Return the number of usable physical cores; ggml's threads spin, more slow it down."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    allowed = os.sched_getaffinity(0)
    cores = {_core(cpu) for cpu in allowed}
    quota = _cpu_quota()
    count = len(cores)
    return max(1, min(count, int(quota)) if quota else count)


def _core(cpu: int) -> tuple[str, str]:
    """Return the identity of a logical CPU's physical core; the CPU's number if unknown."""
    topology = CPUS / f"cpu{cpu}" / "topology"
    try:
        return (
            (topology / "physical_package_id").read_text().strip(),
            (topology / "core_id").read_text().strip(),
        )
    except OSError:
        return ("", str(cpu))


def _cpu_quota() -> float | None:
    """Return the cgroup limit in CPUs, None if there is none."""
    limits = []
    for folder in _cgroup_folders():
        words = _read(folder / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            limits.append(int(words[0]) / int(words[1]))
    for folder in _cgroup_v1_folders("cpu"):
        quota = _read(folder / "cpu.cfs_quota_us")
        period = _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def available_memory() -> int | None:
    """Return the bytes of memory available to this process, None if unknown."""
    candidates = []
    if match := re.search(r"^MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")), re.M):
        candidates.append(int(match[1]) * 1024)
    for folder in _cgroup_folders():
        limit = _read(folder / "memory.max")
        used = _read(folder / "memory.current")
        if limit.isdigit() and used.isdigit():
            candidates.append(int(limit) - int(used) + _reclaimable(folder / "memory.stat"))
    for folder in _cgroup_v1_folders("memory"):
        limit = _read(folder / "memory.limit_in_bytes")
        used = _read(folder / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit() and int(limit) < 1 << 60:
            candidates.append(int(limit) - int(used) + _reclaimable(folder / "memory.stat"))
    candidates += _address_space()
    return max(0, min(candidates)) if candidates else None


def _address_space() -> list[int]:
    """Return the bytes left of the `ulimit -v` limit, in a list; empty if there is no limit."""
    try:
        import resource
    except ImportError:  # Windows has neither the module nor the limit
        return []
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = address_space()
    return [] if limit == resource.RLIM_INFINITY or not used else [limit - used]


def address_space() -> int:
    """Return the bytes of address space that this process has in use; 0 if unknown."""
    return _pages("self", 0)


def memory_of(process: int) -> int:
    """Return the bytes of memory of its own that another process holds; 0 if unknown."""
    return max(0, _pages(str(process), 1) - _pages(str(process), 2))


def _pages(process: str, field: int) -> int:
    """Return a field of a process's statm, in bytes."""
    fields = _read(Path("/proc", process, "statm")).split()
    return int(fields[field]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _reclaimable(stat: Path) -> int:
    """Return the bytes of page cache that the kernel reclaims before it kills a process."""
    match = re.search(r"^inactive_file (\d+)", _read(stat), re.M)
    return int(match[1]) if match else 0


def _cgroup_folders() -> list[Path]:
    """Return the folders of our cgroup (version 2) and of its ancestors."""
    match = re.search(r"^0::(/.*)$", _read(OWN_CGROUPS), re.M)
    return _upwards(CGROUP, match[1] if match else "")


def _cgroup_v1_folders(controller: str) -> list[Path]:
    """Return the folders of our cgroup (version 1) for a controller, and of its ancestors."""
    match = re.search(rf"^\d+:(?:\w+,)*{controller}(?:,\w+)*:(/.*)$", _read(OWN_CGROUPS), re.M)
    return _upwards(CGROUP / controller, match[1] if match else "")


def _upwards(root: Path, below: str) -> list[Path]:
    """Return the folder `below` in `root` and all its ancestors up to `root`."""
    folder = root / below.strip("/")
    return [f for f in (folder, *folder.parents) if f == root or root in f.parents]


def cpu_name() -> str:
    """Return the processor's model name; of ARM's, which have none here, the numbers of it."""
    text = _read(CPUINFO)
    if match := re.search(r"^model name\s*:\s*(.+)$", text, re.M):
        return match[1].strip()
    numbers = re.findall(r"^CPU (implementer|part)\s*:\s*(\w+)$", text.split("\n\n")[0], re.M)
    named = platform.processor() or platform.machine()
    return ", ".join([named, *(" ".join(pair) for pair in numbers)])


def cpu_features() -> frozenset[str]:
    """Return the processor's features, as the kernel calls them; empty if unknown."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", _read(CPUINFO), re.M)
    return frozenset(found[1].split()) if found else frozenset()


def cpu_identity() -> str:
    """Return text that is equal for CPUs with the same model, stepping, microcode and features."""
    text = _read(CPUINFO).split("\n\n")[0]
    identifying = (
        "model name", "model", "stepping", "flags", "microcode",
        "Features", "CPU implementer", "CPU variant", "CPU part", "CPU revision",
    )  # fmt: skip
    lines = [line for line in text.splitlines() if line.split("\t")[0].strip() in identifying]
    return "\n".join(lines) or platform.processor() or platform.machine()


def memory_use() -> dict[str, int]:
    """Return this process's memory in bytes: peak resident size, and resident size by kind."""
    names = {
        "VmHWM": "rss_peak",
        "RssAnon": "anonymous",
        "RssShmem": "shmem",
        "RssFile": "file",
    }
    found = re.findall(r"^(\w+):\s+(\d+) kB", _read(Path("/proc/self/status")), re.M)
    return {names[key]: int(value) * 1024 for key, value in found if key in names}


def _read(path: Path) -> str:
    try:
        # The kernel truncates process names to 15 bytes, possibly inside a UTF-8 character.
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def keep_little_memory() -> None:
    """Have the C library return what is freed to the system, where it can be told to.

    glibc learns from each large block that is freed to keep the next ones, up to 32 MB, and has up
    to eight heaps for each processor: a server that was sent a few large requests would hold
    hundreds of megabytes for the rest of its life.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in (
            (M_MMAP_THRESHOLD, BLOCK), (M_TRIM_THRESHOLD, SLACK), (M_ARENA_MAX, HEAPS),
        ):  # fmt: skip
            mallopt(parameter, value)


def return_free_memory() -> None:
    """Give back to the system what lies free between pieces in use, where the C library can.

    Requests of many sizes leave heaps with ever more holes; glibc keeps all but those at the end.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
