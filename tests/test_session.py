"""A session over a real model: where it cannot be had, nothing is held."""

from __future__ import annotations

import dataclasses

import pytest
from engines import DEMO, GREEDY, in_child


@in_child
def test_what_fails_on_the_way_holds_no_model() -> None:
    from runtime.dialogue import chat_session
    from runtime.errors import AppError
    from runtime.inference.scheduler import Engine
    from runtime.model import model
    from runtime.model.model import Model

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
        patch.setattr(chat_session, "Model", Watched)
        patch.setattr(chat_session, "Engine", WatchedEngine)
        with pytest.raises(AppError):
            chat_session.Session(
                source, dataclasses.replace(GREEDY, lora="nowhere"), lambda _: None
            )
        assert ["engine", "model"] == closed
