"""All readers: what a program reads at run time, and what is read while bundling only."""

from __future__ import annotations

from collections.abc import Mapping

from bundler.documents.pdf import read_pdf
from runtime.documents import reading

READERS: Mapping[str, reading.Reader] = {**reading.READERS, ".pdf": read_pdf}
"""By the suffix, in lower case."""
