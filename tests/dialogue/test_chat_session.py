"""A session over a real model: where it cannot be had, nothing is held."""

from __future__ import annotations

import dataclasses

import pytest
from engines import DEMO, GREEDY, in_child


@in_child
def test_what_fails_on_the_way_holds_no_model() -> None:
    from runtime.dialogue import loaded_model, model_opening
    from runtime.errors import AppError
    from runtime.inference.scheduler import Scheduler
    from runtime.model import model_file
    from runtime.model.model import Model

    closed: list[str] = []

    class Watched(Model):
        def close(self) -> None:
            closed.append("model")
            super().close()

    class WatchedEngine(Scheduler):
        def close(self) -> None:
            closed.append("engine")
            super().close()

    source = model_file.open_file(DEMO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_opening, "Model", Watched)
        patch.setattr(model_opening, "Scheduler", WatchedEngine)
        with pytest.raises(AppError):
            loaded_model.LoadedModel(
                source, dataclasses.replace(GREEDY, lora="nowhere"), lambda _: None
            )
        assert ["engine", "model"] == closed
