"""The entry of `modelembed`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the program; return its exit code."""
    # Until it can say something better, Ctrl-C just ends it: Python would show a traceback.
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bundler.commands.main import run

    signal.signal(signal.SIGINT, before)
    try:
        return run()
    except KeyboardInterrupt:  # while it said its last words
        return 130


if __name__ == "__main__":
    sys.exit(main())
