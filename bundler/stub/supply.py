"""Where a stub comes from: an installed wheel, the cache, or a build; and what it is for.

Whoever only bundles installs the wheels that `make dist` makes, and needs no compiler.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from bundler.targets import Target, machine_name
from runtime import __version__
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import AppError
from runtime.host import library_paths

WHEEL = "modelembed-runtime-{}"
"""Name of the wheel with the stub for a target."""
STUB = "stub"
"""The stub's file in the wheel's package."""


def stub(
    say: Callable[[str], None], target: Target | None = None, architectures: Sequence[str] = ()
) -> Path:
    """Return the path of a stub for `target` (None: this machine); say where it is from.

    `architectures` are those of NVIDIA's GPUs that it uses by CUDA; such a one is always built.
    """
    name = target.name if target else machine_name()
    if not architectures and (found := installed(name, say)):
        return found
    if importlib.util.find_spec("llama_cpp") is None:
        raise AppError(
            f"no runtime for {name} is installed",
            hint=f"install it: pip install {WHEEL.format(name)}=={__version__}, or what builds "
            "one: python -m bundler.engine && pip install -e '.[build]'",
        )
    from bundler.stub import builder

    return builder.build(say, target=target, architectures=architectures)


def installed(name: str, say: Callable[[str], None]) -> Path | None:
    """Return the stub for a target in its wheel; None where that is not installed, or another's."""
    wheel = WHEEL.format(name)
    folder = library_paths.wheel_folder(name)
    if folder is None or not (folder / STUB).is_file():
        return None
    import importlib.metadata  # with all of `email`, a tenth of the time that bundling takes

    version = importlib.metadata.version(wheel)
    if version != __version__:
        say(f"stub: {wheel} {version} is not used: this is modelembed {__version__}")
        return None
    say(f"stub: from {wheel} {version}")
    return folder / STUB


def open_stub(path: Path) -> Bundle:
    """Return the stub at `path`, ours or one for another platform."""
    return bundle_file.load_runtime(path)


def runs_here(bundle: Bundle) -> bool:
    """Tell whether a stub is for this machine's system and processor."""
    return bundle.manifest.stub.get("platform") == machine_name()
