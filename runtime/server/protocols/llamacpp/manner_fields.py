"""How an answer is generated, by llama-server's names of fields."""

from __future__ import annotations

from runtime.inference.manner import PLAIN, Manner
from runtime.server.protocols.llamacpp.lora_adapters import adapters_for
from runtime.server.protocols.sampling_fields import Sampling
from runtime.server.service.service import Service


def manner_of(service: Service, request: Sampling) -> Manner:
    """Return how the answers to a request are generated; raise HTTPError if a field is wrong."""
    adapters = adapters_for(service, request.lora)
    slot = -1 if request.id_slot is None else request.id_slot
    limit = max(0, request.t_max_predict_ms or 0)
    after = bool(request.post_sampling_probs)
    if (adapters, slot, limit, after) == (None, -1, 0, False):
        return PLAIN
    return Manner(slot=slot, seconds=limit / 1000, after_sampling=after, adapters=adapters)
