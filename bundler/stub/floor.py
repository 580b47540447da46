"""The floor of a stub: the oldest glibc that everything inside it runs with."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bundler.engine.shared_object import MAGIC, SharedObject, versioned_symbols
from bundler.stub.package_file import Package
from bundler.targets import Target
from runtime.errors import AppError

LAUNCHER = "the launcher"


def of_program(image: bytes, target: Target, *, held: bool) -> str:
    """Return the version of glibc that a program of PyInstaller's needs.

    Raise AppError if one of its files is for another processor, or, where the target's floor is
    to be `held`, needs a newer glibc than that.
    """
    images = dict(_files(image))
    found = {name: _parsed(name, file) for name, file in images.items()}
    for name, file in found.items():
        if file.machine != target.machine:
            raise AppError(
                f"{name} in the stub is for {file.machine}; it should be for {target.machine}",
                hint="a package lacks that file for the target: report it",
            )
    highest = tuple(map(int, target.glibc.split(".")))
    above = [name for name, file in found.items() if file.glibc > highest]
    if held and above:
        demands = (f"{name} asks for {_newer(images[name], highest)}" for name in above)
        raise AppError(
            f"the stub must run with glibc {target.glibc}: {'; '.join(demands)}",
            hint="what brings that file must be built for older systems: report it",
        )
    return ".".join(map(str, max(file.glibc for file in found.values())))


def _files(image: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of everything in a program that is a program or a library."""
    yield LAUNCHER, image
    for entry in Package.parse(image).entries:
        if (data := entry.data).startswith(MAGIC):
            yield entry.name, data


def _parsed(name: str, image: bytes) -> SharedObject:
    try:
        return SharedObject.parse(image)
    except ValueError as exc:
        raise AppError(
            f"{name} in the stub is damaged: {exc}", hint="modelembed stub --force"
        ) from exc


def _newer(image: bytes, highest: tuple[int, ...]) -> str:
    """Return the symbols that a library needs from a glibc above `highest`."""
    found = set()
    for symbol, version in versioned_symbols(image):
        number = re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", version)
        if number and tuple(map(int, number[1].split("."))) > highest:
            found.add(f"{symbol} of {version}")
    return ", ".join(sorted(found))
