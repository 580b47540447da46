"""The entry of a produced executable."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program; return its exit code."""
    from runtime.host import unpack_dir

    if temporary := unpack_dir.lock():
        from runtime.host import abandoned_dirs

        abandoned_dirs.sweep(temporary)
    if sys.argv[1:] == ["--version"]:
        # Nothing but this module and the footer is read: it must be instant.
        from runtime.commands.bundles.about import version_line

        print(version_line())
        return 0
    from runtime.commands.main import run
    from runtime.host.interrupts import INTERRUPTED, ignore_interrupts

    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while it said its last words
        return INTERRUPTED
    finally:
        ignore_interrupts()


if __name__ == "__main__":
    sys.exit(main())
