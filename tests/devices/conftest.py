"""What the tests of devices share: an engine to plant backends in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.stub import cpu_probe
from bundler.targets import here
from runtime.devices import backend
from runtime.host import library_paths
from runtime.model import variant_files


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the real libraries without backends for GPUs, and the probe."""
    real = library_paths.library_folder()
    if (machine := here()) is None or machine.plainest not in variant_files.variants(real):
        pytest.skip("the installed engine has no variant for every processor")
    folder = tmp_path_factory.mktemp("devices")
    (folder / "lib").mkdir()
    for library in real.glob("lib*.so"):
        if library.name not in backend.WAYS:
            (folder / "lib" / library.name).symlink_to(library)
    cpu_probe.write(folder / "probe", real, "test")
    return folder
