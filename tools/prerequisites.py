"""Check what must be on the machine before anything is set up, and say how to get it.

python tools/prerequisites.py          what building needs
python tools/prerequisites.py --tests  what the tests need as well

An older Python must get as far as its message: nothing here is newer than Python 3.6.
"""

import ctypes.util
import importlib.util
import shutil
import sys
import sysconfig

OLDEST = (3, 10)
NEWER = tuple(f"python3.{minor}" for minor in range(14, OLDEST[1] - 1, -1))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def too_old():
    # type: () -> str
    """Return what to say where this Python is too old, empty where it is not."""
    if sys.version_info >= OLDEST:
        return ""
    version = ".".join(map(str, sys.version_info[:3]))
    oldest = ".".join(map(str, OLDEST))
    newer = [name for name in NEWER if shutil.which(name)]
    hint = (
        f"there is a newer one: make PYTHON={newer[0]}"
        if newer
        else "install a newer one beside it (a newer release of the system has one, so have uv and "
        "pyenv), and name it: make PYTHON=python3.12"
    )
    return f"error: Python {oldest} or newer is needed; this is {version}\n\nhint: {hint}"


def missing(tests=False):
    # type: (bool) -> list[tuple[str, str]]
    """Return what is missing: in words, and the Debian package that has it."""
    found = []
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        found.append(("Python's venv module", "python3-venv"))
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shared = sysconfig.get_config_var("Py_ENABLE_SHARED")
    if not shared and not ctypes.util.find_library(name):
        found.append((f"the shared library of Python (lib{name}.so)", f"lib{name}"))
    for tool in ("objdump", "objcopy", "strip"):
        if not shutil.which(tool):
            found.append((f"the program {tool}", "binutils"))
    if tests and not browser():
        found.append(("a browser, for the tests of the page", "chromium"))
    return found


def browser():
    # type: () -> str
    """Return the path of a browser for the tests of the page, empty where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), "") or ""


def main():
    # type: () -> int
    """Print what is missing; return 1 if anything is."""
    if too_old():
        print(too_old(), file=sys.stderr)
        return 1
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
