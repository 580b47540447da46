"""Libraries that a stub has compressed, since few runs need them: for GPUs, pictures and sound.

The program unpacks them when it needs them, see runtime/model/variant_files.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from bundler.engine.toolchain import kept
from runtime.container.archive import COMPRESSED
from runtime.host import app_dirs

FOLDER = "llama_cpp/lib"
"""Where the program has the engine's libraries."""
LEVEL = 19  # of the backend for Vulkan, 5.9 MB of 44, 7.6 at 10, for half a minute once


def put(
    library: Path, data: Path, say: Callable[[str], None], *, level: int = LEVEL, threads: int = 0
) -> int:
    """Put a library, compressed, among the files that go into the program; return its size there.

    It is compressed by as many `threads`, 0 for this one.
    """
    compressed = _compressed(library, level, threads, say).read_bytes()
    target = data / FOLDER / f"{library.name}{COMPRESSED}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.write_bytes(compressed)


def _compressed(library: Path, level: int, threads: int, say: Callable[[str], None]) -> Path:
    """Return the compressed library; from the cache if it was compressed before."""
    content = library.read_bytes()

    def make(folder: Path) -> None:
        import zstandard

        say(f"stub: compressing {library.name}, {len(content) / 1e6:.0f} MB, once")
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=threads)
        (folder / library.name).write_bytes(compressor.compress(content))

    key = hashlib.sha256(content).hexdigest()[:16]
    return kept(app_dirs.cache() / "compressed" / f"{level}-{key}", make) / library.name
