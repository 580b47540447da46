"""What the engine refuses while a model is in use, it refuses with its reason."""

from __future__ import annotations

import dataclasses

import pytest
from engines import GREEDY, demo, engine, in_child

from runtime.errors import ModelError


@in_child
def test_a_vector_that_cannot_be_computed() -> None:
    from runtime.inference.vectors.embedder import Embedder

    options = dataclasses.replace(GREEDY, pooling="mean")
    embedder = Embedder(demo(), options, declared=0, threads=1)
    with pytest.raises(ModelError, match=r"\(code -1\): invalid token\[0\] = 9999999"):
        embedder.embed([9999999])
    embedder.close()


@in_child
def test_a_state_that_does_not_fit() -> None:
    reason = "does not fit this model and context: error loading state: wrong sequence state magic"
    with engine() as one, pytest.raises(ModelError, match=reason):
        one.load_state(bytes(100), [1, 2])
