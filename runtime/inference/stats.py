"""Statistics of an answer (tokens, seconds) and status of the scheduler."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class FinishReason(str, enum.Enum):
    """Why an answer ended; the value is the text used in reports."""

    NONE = ""
    """Not finished."""
    STOP = "stop"
    """End-of-generation token, stop string or stop token."""
    LENGTH = "length"
    """Token limit reached."""
    CONTEXT = "context"
    """Context full."""
    CANCELLED = "cancelled"
    ERROR = "error"

    __hash__ = str.__hash__  # equal to its text, so the hash must be equal as well
    __str__ = str.__str__


@dataclass
class Stats:
    """Statistics of one answer, updated while it is generated."""

    prompt_tokens: int = 0
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt that were in the KV cache."""
    prompt_seconds: float = 0.0
    """From the first decode of the prompt to the first token of the answer."""
    generated_tokens: int = 0
    generate_seconds: float = 0.0
    context_used: int = 0
    context_size: int = 0
    reason: FinishReason = FinishReason.NONE
    stopped_by: str = ""
    """The stop string, or the text of the stop token, that ended the answer, if any."""
    queue_seconds: float = 0.0
    """Waiting time before the prompt was decoded."""
    slot: int = -1
    """The sequence that it was generated in."""

    def line(self) -> str:
        """Return a one-line summary for people."""
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
        """Add the statistics of a continuation of the same answer."""
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
    """Status of a sequence."""

    number: int
    busy: bool
    held: int
    """Number of tokens in the KV cache."""
    stats: Stats | None
    """Statistics of the running answer, None if the sequence is idle."""


@dataclass(frozen=True)
class Status:
    """Status of the scheduler."""

    slots: tuple[SlotStatus, ...]
    waiting: int
    """Answers waiting for a slot."""
    steps: int
    """Batches decoded so far."""
    busy_steps: int
    """Sum over all batches of the sequences in each."""
