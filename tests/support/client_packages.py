"""Clients that are not installed for the tests of every day."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

EVERY = "MODELEMBED_TEST_EVERY_CLIENT"
"""An environment variable: if it is set, a client that is missing is a failure."""


def package(name: str) -> Any:
    """Return a client's package; skip the tests of the module where it is not installed."""
    if os.environ.get(EVERY):
        return importlib.import_module(name)
    return pytest.importorskip(name, reason="`make clients` installs it", exc_type=ImportError)
