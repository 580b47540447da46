"""A session over a real model: where it cannot be had, nothing is held."""

from __future__ import annotations

import dataclasses

import pytest
from engines import DEMO, GREEDY, in_child


@in_child
def test_what_fails_on_the_way_holds_no_model() -> None:
    from runtime import model, session
    from runtime.engine import Engine
    from runtime.errors import AppError
    from runtime.model import Model

    closed: list[str] = []

    class Watched(Model):
        def close(self) -> None:
            closed.append("model")
            super().close()

    class WatchedEngine(Engine):
        def close(self) -> None:
            closed.append("engine")
            super().close()

    source = model.open_source(DEMO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "Model", Watched)
        patch.setattr(session, "Engine", WatchedEngine)
        with pytest.raises(AppError):
            session.Session(source, dataclasses.replace(GREEDY, lora="nowhere"), lambda _: None)
        assert ["engine", "model"] == closed
