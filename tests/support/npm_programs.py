"""Programs from npm, which are not installed for the tests of every day."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from paths import ROOT

FOLDER = Path(os.environ.get("MODELEMBED_TEST_PROGRAMS") or ROOT / "build" / "programs")
"""Where `make programs` installs them."""
EVERY = "MODELEMBED_TEST_EVERY_PROGRAM"
"""An environment variable: if it is set, a program that is missing is a failure."""


def program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    found = shutil.which(name, path=str(FOLDER / "node_modules" / ".bin"))
    if not found:
        assert not os.environ.get(EVERY), f"{name} is missing"
        pytest.skip(f"{name} is not installed: `make programs` does that")
    return found


def module_folder(name: str) -> Path:
    """Return the folder that a package's modules are found from; skip the test without it."""
    if not (FOLDER / "node_modules" / name).is_dir():
        assert not os.environ.get(EVERY), f"{name} is missing"
        pytest.skip(f"{name} is not installed: `make programs` does that")
    return FOLDER
