"""Manner: how one answer is generated, beside its options and its form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Adapters:
    """LoRA adapters in use; equal if they are the same ones at the same scales."""

    scales: tuple[tuple[str, float], ...] = ()
    """Names and scales, without those of no effect."""
    handles: tuple[Any, ...] = field(default=(), compare=False)
    """Their `llama_adapter_lora*`."""


NO_ADAPTERS = Adapters()


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What an answer is asked for with; by default as all others."""

    slot: int = -1
    """The sequence that it must be generated in, -1 for any."""
    seconds: float = 0.0
    """After which it ends with the line that is being written; 0 for no limit."""
    after_sampling: bool = False
    """Whether log-probabilities are those after all samplers, not the model's own."""
    adapters: Adapters | None = None
    """None for those of all answers."""


PLAIN = Manner()
