"""Graphical desktop: detect a start by double-click, open the web browser."""

from __future__ import annotations

import os
import stat
import sys


def double_clicked() -> bool:
    """Return whether the program was started from a desktop, with no terminal to print to."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        try:
            mode = os.fstat(stream.fileno()).st_mode if stream else stat.S_IFCHR
        except (OSError, ValueError):
            continue
        # A desktop connects the streams to /dev/null or to the journal's socket.
        journal = stat.S_ISSOCK(mode) and stream is not sys.stdin
        if not journal and (not stat.S_ISCHR(mode) or (stream is not None and stream.isatty())):
            return False
    return True


def open_browser(address: str) -> None:
    """Open `address` in the user's browser; do nothing if there is none."""
    import webbrowser

    # Other programs must not load the libraries that the launcher unpacked.
    before = os.environ.get("LD_LIBRARY_PATH")
    original = os.environ.get("LD_LIBRARY_PATH_ORIG")
    try:
        if original is not None:
            os.environ["LD_LIBRARY_PATH"] = original
        elif before is not None:
            del os.environ["LD_LIBRARY_PATH"]
        webbrowser.open(address)
    finally:
        if before is not None:
            os.environ["LD_LIBRARY_PATH"] = before
