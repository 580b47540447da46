"""The demo model's eye: it is small, fits the model, and is in nobody's way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from paths import DEMO, EYE

from bundler.model import projectors, split_files
from bundler.model.split_files import Opened

MOST_BYTES = 3_000_000


@contextmanager
def demo() -> Iterator[Opened]:
    opened = split_files.open_file(DEMO)
    try:
        yield opened
    finally:
        os.close(opened.fd)


def test_it_is_small() -> None:
    assert EYE.stat().st_size <= MOST_BYTES


def test_it_fits_the_demo_model_and_takes_pictures_alone() -> None:
    with demo() as model:
        eye = projectors.load(EYE, model)

    os.close(eye.opened.fd)
    assert eye.traits.sees
    assert not eye.traits.hears


def test_whoever_bundles_the_demo_model_is_not_asked_about_it() -> None:
    with demo() as model:
        assert [] == projectors.beside(model)
