"""Metrics of all worker processes together, in Prometheus' text format.

The names are llama-server's. The counters lie in memory shared by the workers: each writes its own
row, and the one that is asked adds them up.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping

from runtime.inference.stats import Stats

COUNTERS = {
    "prompt_tokens": ("prompt_tokens_total", "Number of prompt tokens processed."),
    "prompt_seconds": ("prompt_seconds_total", "Prompt process time"),
    "predicted_tokens": ("tokens_predicted_total", "Number of generation tokens processed."),
    "predicted_seconds": ("tokens_predicted_seconds_total", "Predict process time"),
    "decoded": ("n_decode_total", "Total number of llama_decode() calls"),
    "busy": ("n_busy_slots_total", "Sequences in all those calls"),
    "encoded": ("media_encoded_total", "Pictures and sounds encoded, or parts of them"),
    "requests": ("requests_total", "Number of requests"),
    "answers": ("answers_total", "Number of answers that ended"),
    "cancelled": ("answers_cancelled_total", "Number of answers that were cut"),
    "rejected": ("requests_rejected_total", "Number of requests that found the queue full"),
}
GAUGES = {
    "processing": ("requests_processing", "Number of requests processing."),
    "deferred": ("requests_deferred", "Number of requests deferred."),
    "workers": ("workers", "Number of worker processes that answer"),
}
NAMES = [*COUNTERS, *GAUGES]
WIDTH = 8 * len(NAMES)


class Metrics:
    """The counters of one worker, in memory shared with the others."""

    def __init__(self, shared: mmap.mmap | None = None, workers: int = 1, own: int = 0) -> None:
        """`own` is this worker's row of `shared`, which has `workers` rows."""
        self._memory = shared or mmap.mmap(-1, WIDTH * workers)
        self._rows = [
            memoryview(self._memory)[row * WIDTH : (row + 1) * WIDTH].cast("d")
            for row in range(workers)
        ]
        self._own = self._rows[own]
        for gauge in GAUGES:  # of a worker that died in this one's place
            self.set(gauge, 0)
        self.set("workers", 1)

    @staticmethod
    def shared(workers: int) -> mmap.mmap:
        """Return shared memory for `workers` rows, to be inherited by fork."""
        return mmap.mmap(-1, WIDTH * workers)

    def add(self, name: str, amount: float) -> None:
        """Increase a counter."""
        self._own[NAMES.index(name)] += amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._own[NAMES.index(name)] = value

    def answered(self, stats: Stats) -> None:
        """Count a completed answer."""
        self.add("answers", 1)
        # The engine may not have heard yet that nobody listens any more.
        self.add("cancelled", stats.reason in ("cancelled", ""))
        self.add("prompt_tokens", stats.prompt_tokens - stats.cached_tokens)
        self.add("prompt_seconds", stats.prompt_seconds)
        self.add("predicted_tokens", stats.generated_tokens)
        self.add("predicted_seconds", stats.generate_seconds)

    def total(self) -> Mapping[str, float]:
        """Return the sums over all workers."""
        return {name: sum(row[i] for row in self._rows) for i, name in enumerate(NAMES)}

    def text(self) -> str:
        """Return the sums in Prometheus' text format."""
        total = self.total()
        lines = []
        for kind, table in (("counter", COUNTERS), ("gauge", GAUGES)):
            for key, (name, meaning) in table.items():
                lines += _metric(name, kind, meaning, total[key])
        for name, meaning, tokens, seconds in (
            ("prompt_tokens_seconds", "Average prompt throughput in tokens/s.",
             "prompt_tokens", "prompt_seconds"),
            ("predicted_tokens_seconds", "Average generation throughput in tokens/s.",
             "predicted_tokens", "predicted_seconds"),
            ("n_busy_slots_per_decode", "Average number of busy slots per llama_decode() call",
             "busy", "decoded"),
        ):  # fmt: skip
            value = total[tokens] / total[seconds] if total[seconds] else 0.0
            lines += _metric(name, "gauge", meaning, value)
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, meaning: str, value: float) -> list[str]:
    full = f"llamacpp:{name}"
    return [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}", f"{full} {value:.17g}"]
