"""Files of the engine's CPU variants, and other libraries of which a run needs one or none.

In a produced program they stay in its archive until they are needed.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.container import archive, bundle_file
from runtime.container.archive import COMPRESSED
from runtime.host.unpack_dir import frozen_folder

PREFIX, SUFFIX = "libggml-cpu-", ".so"


def there(folder: Path) -> dict[str, Path]:
    """Return the paths of the variant libraries that lie in `folder`, by name."""
    return {
        path.name[len(PREFIX) : -len(SUFFIX)]: path
        for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))
    }


def variants(folder: Path) -> dict[str, Path]:
    """Return the paths of the variant libraries in `folder`, there or still packed, by name."""
    packed_ones = {
        name[len(PREFIX) : -len(SUFFIX)]: folder / name for name in packed(folder, PREFIX)
    }
    return dict(sorted({**packed_ones, **there(folder)}.items()))


def unpacked(path: Path) -> Path:
    """Return `path`, a variant's library, which is there then."""
    if not path.exists():
        archive.unpack({archived(path): path})
    return path


def decompressed(path: Path, *needs: Path) -> Path:
    """Return `path`, a library that the program has compressed, which is there then.

    So are those that it `needs` beside it. Raise AppError where they cannot be unpacked.
    """
    if not path.exists():  # which is unpacked last
        missing = [*(one for one in needs if not one.exists()), path]
        archive.unpack({archived(one.with_name(one.name + COMPRESSED)): one for one in missing})
    return path


@contextlib.contextmanager
def all_unpacked(available: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Give the libraries that can be loaded, by name; packed ones are there meanwhile only."""
    missing = {name: path for name, path in available.items() if not path.exists()}
    if not missing:
        yield dict(available)
        return
    folder = next(iter(missing.values())).parent
    with tempfile.TemporaryDirectory(prefix=".variants-", dir=folder) as name:
        scratch = Path(name)
        for path in folder.glob("*.so"):  # a library finds those that it needs beside it
            (scratch / path.name).symlink_to(path)
        copies = {name: scratch / path.name for name, path in missing.items()}
        archive.unpack({archived(path): copies[name] for name, path in missing.items()})
        yield {**available, **copies}


def packed(folder: Path, beginning: str) -> dict[str, int]:
    """Return the sizes of files in the program's archive whose names begin so; none if not frozen.

    They are by those names, and of files that belong into `folder`.
    """
    frozen = frozen_folder()
    if frozen is None or not folder.is_relative_to(frozen):
        return {}
    bundle = bundle_file.own()
    assert bundle is not None, "the program is frozen"
    try:
        path = f"{folder.relative_to(frozen).as_posix()}/{beginning}"
        found = archive.files(bundle).items()
        return {Path(name).name: one.size for name, one in found if name.startswith(path)}
    finally:
        bundle.close()


def archived(path: Path) -> str:
    """Return the name in the archive of a file in the unpacked program."""
    frozen = frozen_folder()
    assert frozen is not None, "else everything is there"
    return path.relative_to(frozen).as_posix()
