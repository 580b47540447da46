"""The entry of a produced executable."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program; return its exit code."""
    from runtime import unpacked

    unpacked.settle()
    if sys.argv[1:] == ["--version"]:
        # Nothing but this module and the footer is read: it must be instant.
        from runtime.about import version_line

        print(version_line())
        return 0
    from runtime.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
