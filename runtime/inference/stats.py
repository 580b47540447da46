"""What an answer cost, and what the engine is doing."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class FinishReason(str, enum.Enum):
    """Why an answer ended; each is also the text that reports have for it."""

    NONE = ""
    """It has not ended yet."""
    STOP = "stop"
    """The model ended it, or a stop string did."""
    LENGTH = "length"
    """It has as many tokens as it may have."""
    CONTEXT = "context"
    """The context is full."""
    CANCELLED = "cancelled"
    ERROR = "error"

    __hash__ = str.__hash__  # equal to its text, so it must be found by that as well
    __str__ = str.__str__


@dataclass
class Stats:
    """What one answer cost, filled in while it is made."""

    prompt_tokens: int = 0
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt whose state was still there."""
    prompt_seconds: float = 0.0
    """From the start of the work on the prompt to the first token of the answer."""
    generated_tokens: int = 0
    generate_seconds: float = 0.0
    context_used: int = 0
    context_size: int = 0
    reason: FinishReason = FinishReason.NONE
    stopped_by: str = ""
    """The stop string that ended it, if one did."""
    queue_seconds: float = 0.0
    """Waiting for other answers before the work began."""

    def line(self) -> str:
        """Return one line for people."""
        context = f"context {self.context_used} of {self.context_size}"
        if not self.reason and not self.prompt_tokens:
            return f"no answer yet · {context}" if self.context_size else "no answer yet"
        computed = self.prompt_tokens - self.cached_tokens
        prompt = f"prompt {self.prompt_tokens} tokens"
        if self.cached_tokens:
            prompt += f" ({self.cached_tokens} cached)"
        if computed and self.prompt_seconds:
            prompt += f", {computed / self.prompt_seconds:.1f} tokens/s"
        answer = f"answer {self.generated_tokens} tokens"
        if self.generate_seconds and self.generated_tokens > 1:
            answer += f", {(self.generated_tokens - 1) / self.generate_seconds:.1f} tokens/s"
        first = f"first after {self.queue_seconds + self.prompt_seconds:.2f} s"
        return f"{prompt} · {answer} · {first} · {context}"

    def add(self, part: Stats) -> None:
        """Add the cost of a continuation."""
        if not self.prompt_tokens:
            self.prompt_tokens = part.prompt_tokens
            self.cached_tokens = part.cached_tokens
            self.prompt_seconds = part.prompt_seconds
            self.queue_seconds = part.queue_seconds
        else:
            self.generate_seconds += part.queue_seconds + part.prompt_seconds
        self.generated_tokens += part.generated_tokens
        self.generate_seconds += part.generate_seconds
        self.context_used = part.context_used
        self.context_size = part.context_size
        self.reason = part.reason
        self.stopped_by = part.stopped_by


@dataclass(frozen=True)
class SlotStatus:
    """What a sequence does."""

    number: int
    busy: bool
    held: int
    """Tokens whose state it holds."""
    stats: Stats | None
    """The costs so far of the answer that it works on."""


@dataclass(frozen=True)
class Status:
    """What the engine does."""

    slots: tuple[SlotStatus, ...]
    waiting: int
    """Answers without a slot."""
    steps: int
    """Batches computed so far."""
    busy_steps: int
    """The sequences in each of them, summed up."""
