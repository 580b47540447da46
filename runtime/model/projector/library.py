"""libmtmd, llama.cpp's library for models that see and hear, unpacked and loaded when needed."""

from __future__ import annotations

import functools
from typing import Any

from runtime.container import archive
from runtime.container.archive import COMPRESSED
from runtime.host.library_paths import MEDIA, library_folder
from runtime.model import llama_api, variant_files


@functools.cache
def load() -> Any:
    """Return the functions of mtmd.h and mtmd-helper.h; raise AppError where that fails."""
    path = library_folder() / MEDIA
    if not path.exists():
        packed = path.with_name(path.name + COMPRESSED)
        archive.unpack({variant_files.archived(packed): path})
    return llama_api.media_api()
