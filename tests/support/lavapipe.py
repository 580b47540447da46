"""Mesa's lavapipe: a Vulkan device without a GPU, for produced programs.

It compiles what it computes for a minute or two. That is kept from one run of the tests to the
next, beside what the bundler keeps, and shared by all programs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.host import app_dirs

DRIVER = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")
COMPILED = app_dirs.cache() / "tests" / "lavapipe"
NAME = "llvmpipe"
"""How it calls its device."""
SECONDS = 400
"""For a program that is started where nothing is compiled yet."""

needed = pytest.mark.skipif(not DRIVER.exists(), reason="Mesa's lavapipe is not here")


def variables(home: Path) -> dict[str, str]:
    """Return the environment of a program that sees no other driver, and has that home."""
    COMPILED.mkdir(parents=True, exist_ok=True)
    return {
        "VK_ICD_FILENAMES": str(DRIVER),
        "VK_DRIVER_FILES": str(DRIVER),
        "MESA_SHADER_CACHE_DIR": str(COMPILED),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
