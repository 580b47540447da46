"""Remote model: the fallback server in place of a model that could not be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.dialogue.fallback.remote_client import RemoteAnswerer, RemoteServer
from runtime.host import resources
from runtime.inference.stats import Stats
from runtime.options.registry import Options


@dataclass(frozen=True)
class RemoteModel:
    """A fallback server with the options for its requests."""

    server: RemoteServer
    options: Options

    @property
    def answerer(self) -> RemoteAnswerer:
        """Return an answerer for a conversation."""
        return RemoteAnswerer(self.server)

    def report(self, stats: Stats) -> dict[str, Any]:
        """Return the costs of an answer, in seconds and bytes, and the server's address."""
        return {
            "fallback": self.server.base_url,
            "prompt_s": stats.prompt_seconds,
            "generated_tokens": stats.generated_tokens,
            "generate_s": stats.generate_seconds,
            "reason": stats.reason,
            "memory": resources.memory_use(),
        }

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
