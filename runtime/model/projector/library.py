"""libmtmd, llama.cpp's library for models that see and hear, unpacked and loaded when needed."""

from __future__ import annotations

import functools
from typing import Any

from runtime.host.library_paths import MEDIA, library_folder
from runtime.model import llama_api, variant_files


@functools.cache
def load() -> Any:
    """Return the functions of mtmd.h and mtmd-helper.h; raise AppError where that fails."""
    variant_files.decompressed(library_folder() / MEDIA)
    return llama_api.media_api()
