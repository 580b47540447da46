"""Compile and install the engine, zstandard, the chat library and what is our own in C.

    python -m bundler.engine            build (or take from the cache) and install it here
    python -m bundler.engine --wheel    only build the engine, and print where its wheel lies

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bundler.engine.first_stage import build_first_stage
from bundler.engine.libchat import build_chat
from bundler.engine.toolchain import BuildFailed, find
from bundler.engine.wheels import OUR_OWN, build, build_own, build_zstandard, install
from runtime.host import app_dirs

INTERRUPTED = 130


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundler.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--compiler", choices=("auto", "zig", "clang", "gcc"), default="auto")
    parser.add_argument("--wheel", action="store_true", help="build only, and print the path")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="modelembed-engine-") as scratch:
            toolchain = find(options.compiler, Path(scratch), say)
            wheel = build(toolchain, Path(scratch), say)
            if options.wheel:
                print(wheel)
                return 0
            wheels = [wheel, *filter(None, [build_zstandard(toolchain, say)])]
            libraries = {
                **{name: build_own(toolchain, name) for name in OUR_OWN},
                "libchat.so": build_chat(toolchain, wheel, say),
                "first-stage": build_first_stage(platform.machine()),
            }
            install(wheels, libraries)
            say(f"engine: installed {', '.join(made.name for made in wheels)}")
    except BuildFailed as exc:
        say(f"error: {exc}")
    except subprocess.CalledProcessError as exc:
        say(f"error: {' '.join(exc.cmd[:6])} … failed with {exc.returncode}")
    except OSError as exc:
        say(
            f"error: {exc.filename or 'a file'} cannot be used: {exc.strerror or exc}\n\nhint: "
            f"compiled things are kept in {app_dirs.cache()}, made in {tempfile.gettempdir()}; "
            "both need space, XDG_CACHE_HOME and TMPDIR name others"
        )
    except KeyboardInterrupt:
        say("\ninterrupted; what was not complete is made again the next time")
        return INTERRUPTED
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
