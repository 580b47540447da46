"""All that is fuzzed, by name."""

from __future__ import annotations

from collections.abc import Mapping

from fuzz import files, folders, pictures, served, texts
from fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    **files.TARGETS,
    **folders.TARGETS,
    **pictures.TARGETS,
    **texts.TARGETS,
    **served.TARGETS,
}
