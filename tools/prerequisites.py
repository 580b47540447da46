"""Check what must be on the machine before anything is set up, and say how to get it.

python tools/prerequisites.py          what building needs
python tools/prerequisites.py --tests  what the tests need as well
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import shutil
import sys
import sysconfig

OLDEST = (3, 10)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing(*, tests: bool = False) -> list[tuple[str, str]]:
    """Return what is missing: in words, and the Debian package that has it."""
    found = []
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        found.append((f"Python 3.10 or newer (this is {version})", "python3"))
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        found.append(("Python's venv module", "python3-venv"))
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shared = sysconfig.get_config_var("Py_ENABLE_SHARED")
    if not shared and not ctypes.util.find_library(name):
        found.append((f"the shared library of Python (lib{name}.so)", f"lib{name}"))
    for tool in ("objdump", "objcopy", "strip"):
        if not shutil.which(tool):
            found.append((f"the program {tool}", "binutils"))
    if tests and not any(map(shutil.which, BROWSERS)):
        found.append(("a browser, for the tests of the page", "chromium"))
    return found


def main() -> int:
    """Print what is missing; return 1 if anything is."""
    found = missing(tests="--tests" in sys.argv[1:])
    if not found:
        return 0
    print("error: missing on this machine:", file=sys.stderr)
    for what, _ in found:
        print(f"  - {what}", file=sys.stderr)
    packages = " ".join(sorted({package for _, package in found}))
    print(f"\nhint: on Debian or Ubuntu: apt-get install {packages}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
