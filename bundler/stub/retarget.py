"""Make the program that PyInstaller made for this machine one for another target.

The Python in it is the same for all targets: only programs and libraries are exchanged, and what
their names say of the processor.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from bundler.engine.shared_object import MAGIC, SharedObject
from bundler.engine.toolchain import BuildFailed
from bundler.interpreter import launcher
from bundler.interpreter.environment import Environment
from bundler.stub.package_file import Entry, Package
from bundler.targets import Target


def program(made: bytes, source: Target, environment: Environment) -> bytes:
    """Return the program `made` for `source` as one for the target of `environment`."""
    target = environment.interpreter.target

    def change(entry: Entry) -> Entry:
        data = entry.data
        if not data.startswith(MAGIC) or SharedObject.parse(data).machine == target.machine:
            return entry
        name = entry.name.replace(_tag(source), _tag(target))
        return entry.with_data(name, _file(name, environment).read_bytes())

    return _launcher(environment) + Package.parse(made).mapped(change).pack()


def _launcher(environment: Environment) -> bytes:
    """Return PyInstaller's launcher for the target of `environment`."""
    path = launcher.path_in(environment.packages, environment.interpreter.target)
    try:
        return path.read_bytes()
    except OSError as exc:
        raise BuildFailed(f"PyInstaller has no launcher at {path}: {exc.strerror}") from exc


def _tag(target: Target) -> str:
    """Return what names of extensions say of their processor."""
    return f"{target.machine}-{target.system}-gnu"


def _file(name: str, environment: Environment) -> Path:
    """Return the target's file that is called `name` in a stub."""
    path = PurePosixPath(name)
    interpreter = environment.interpreter
    parts = path.parts
    places = [environment.packages / path, interpreter.libraries / path]
    if "lib-dynload" in parts:  # python3.13/lib-dynload, below the folder of libpython
        places.append(interpreter.standard_library / "lib-dynload" / path.name)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise BuildFailed(
            f"there is no {name} for {interpreter.target.name}: it was looked for at "
            + ", ".join(map(str, places))
        )
    return found
