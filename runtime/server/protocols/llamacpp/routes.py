"""The endpoints of what llama-server does beside completions."""

from __future__ import annotations

from functools import partial
from typing import Any

from runtime.server.http.endpoint import Endpoint
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols import llama_server_types
from runtime.server.protocols.llamacpp import infill, lora_adapters, rerank, slot_actions
from runtime.server.protocols.sampling_fields import Scales
from runtime.server.service.service import Service

ALIASES = {"/v1/rerank": ("/rerank", "/reranking", "/v1/reranking")}


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return all of them."""
    completion = llama_server_types.Completion
    asking: list[tuple[str, Any, str, Any, Any, Any]] = [
        ("/v1/rerank", rerank.rerank, "Sort texts by how well they answer a query",
         rerank.RerankRequest, rerank.RerankResponse | list[rerank.RankedText], None),
        ("/infill", infill.infill, "Write what is missing in a file",
         infill.InfillRequest, completion, completion),
        ("/lora-adapters", lora_adapters.use, "Say how strongly adapters are applied",
         Scales, lora_adapters.Success, None),
    ]  # fmt: skip
    return [
        *(
            Endpoint("POST", path, partial(handler, service), summary=summary, request=request,
                     response=response, streams=streams, reader=reader)
            for path, handler, summary, request, response, streams in asking
        ),
        Endpoint("GET", "/lora-adapters", partial(lora_adapters.adapters, service),
                 summary="The adapters, and how strongly they are applied",
                 response=list[lora_adapters.LoraAdapter], wakes=False),
        Endpoint("POST", "/slots/{id_slot}", partial(slot_actions.act, service),
                 summary="Save, restore or erase a slot", request=slot_actions.SlotFile,
                 parameters=slot_actions.SlotQuery, empty=b"{}",
                 response=slot_actions.SlotDone, reader=reader),
    ]  # fmt: skip
