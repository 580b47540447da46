"""What this process may use, read from planted control groups and processors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.host import resources

OWN_GROUPS = Path("/proc/self/cgroup")


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plant an empty tree of control groups."""
    monkeypatch.setattr(resources, "CGROUP", tmp_path / "cgroup")
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


@pytest.fixture
def cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plant processors: each pair of those this process may use shares a core."""
    monkeypatch.setattr(resources, "CPUS", tmp_path / "cpus")
    for place, number in enumerate(sorted(os.sched_getaffinity(0))):
        topology = tmp_path / "cpus" / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{place // 2}\n")
    return tmp_path / "cpus"


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_threads_of_one_core_count_once(cgroup: Path, cpus: Path) -> None:
    allowed = len(os.sched_getaffinity(0))

    assert (allowed + 1) // 2 == resources.physical_cores()


def test_without_topology_every_processor_counts(
    cgroup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "CPUS", tmp_path / "nothing")

    assert len(os.sched_getaffinity(0)) == resources.physical_cores()


@pytest.mark.parametrize("quota", ["50000 100000", "100000 100000", "150000 100000"])
def test_quota_limits_the_cores(
    cgroup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str
) -> None:
    monkeypatch.setattr(resources, "CPUS", tmp_path / "nothing")
    write(cgroup, cpu__max=quota)

    assert 1 == resources.physical_cores()


@pytest.mark.parametrize("quota", ["max 100000", "", "nonsense", "100000 0"])
def test_no_quota_limits_nothing(
    cgroup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str
) -> None:
    monkeypatch.setattr(resources, "CPUS", tmp_path / "nothing")
    write(cgroup, cpu__max=quota)

    assert len(os.sched_getaffinity(0)) == resources.physical_cores()


def test_quota_of_the_older_control_groups(
    cgroup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "CPUS", tmp_path / "nothing")
    write(cgroup / "cpu", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")

    assert 1 == resources.physical_cores()


def test_smallest_quota_of_all_parents_counts(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [cgroup / "outer" / "inner", cgroup / "outer", cgroup]
    monkeypatch.setattr(resources, "_cgroup_folders", lambda: folders)
    write(folders[0], cpu__max="400000 100000")
    write(folders[1], cpu__max="100000 100000")

    assert 1.0 == resources._cpu_quota()


def test_memory_is_limited_by_the_control_group(cgroup: Path) -> None:
    write(cgroup, memory__max="50000000", memory__current="30000000")
    assert 20_000_000 == resources.available_memory()

    write(cgroup, memory__stat="anon 1\ninactive_file 5000000\nactive_file 7\n")
    assert 25_000_000 == resources.available_memory()

    write(cgroup, memory__current="60000000")
    assert 0 == resources.available_memory()


def test_memory_of_the_older_control_groups(cgroup: Path) -> None:
    folder = cgroup / "memory"
    write(folder, memory__limit_in_bytes="50000000", memory__usage_in_bytes="30000000")
    assert 20_000_000 == resources.available_memory()

    write(folder, memory__limit_in_bytes="9223372036854771712")
    assert 20_000_000 < (resources.available_memory() or 0)


def test_memory_of_an_older_control_group_that_is_not_the_root(cgroup: Path) -> None:
    own = re.search(r"^\d+:(?:\w+,)*memory(?:,\w+)*:/(.+)$", OWN_GROUPS.read_text(), re.M)
    if own is None:
        pytest.skip("this process is in no such group")
    folder = cgroup / "memory" / own[1]
    write(folder, memory__limit_in_bytes="50000000", memory__usage_in_bytes="30000000")

    assert 20_000_000 == resources.available_memory()


def test_memory_without_a_limit_is_the_machines(cgroup: Path) -> None:
    write(cgroup, memory__max="max", memory__current="30000000")
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert 0 < (resources.available_memory() or 0) <= whole


def test_own_memory_is_told_by_kind() -> None:
    found = resources.memory_use()

    assert {"rss_peak", "anonymous", "shmem", "file"} == set(found)
    assert 1_000_000 < found["anonymous"] < found["rss_peak"]


CORTEX_A76 = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd crc32 atomics fphp asimdhp asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1
"""


def test_processors_without_a_name_are_told_by_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "CPUINFO", tmp_path / "cpuinfo")
    cores = [CORTEX_A76.format(number=number) for number in range(2)]
    resources.CPUINFO.write_text("\n".join(cores))
    identity = resources.cpu_identity()

    assert resources.cpu_name().endswith(", implementer 0x41, part 0xd0b")
    assert 1 == identity.count("asimddp")
    assert "BogoMIPS" not in identity
    for changed in ("0x41", "0x4\n", "0xd0b", "revision\t: 1", "asimddp"):
        resources.CPUINFO.write_text("\n".join(cores).replace(changed, f"{changed[:-1]}7"))
        assert identity != resources.cpu_identity(), changed


def test_processor_has_a_name_and_an_identity() -> None:
    assert resources.cpu_name()
    assert resources.cpu_identity() == resources.cpu_identity() != ""
    assert "MHz" not in resources.cpu_identity()  # changes by the second


HOLES = """
import ctypes
from pathlib import Path
from runtime.host import resources

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = (ctypes.c_void_p,)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

resources.keep_little_memory()
blocks = [libc.malloc(16_000) for _ in range(4_000)]
for block in blocks:
    ctypes.memset(block, 1, 16_000)
full = resident()
for number, block in enumerate(blocks):
    if number % 8:
        libc.free(block)
holed = resident()
resources.return_free_memory()
print(full - holed, holed - resident())
"""


def test_memory_free_between_pieces_in_use_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    kept_without, returned = map(int, done.stdout.split())

    assert kept_without < 10_000_000
    assert returned > 30_000_000
