"""The endpoints of documents, which no other API has."""

from __future__ import annotations

from functools import partial

from runtime.server.http.endpoint import Endpoint
from runtime.server.http.request_body import BodyReader
from runtime.server.protocols.documents import document_types, search
from runtime.server.service.service import Service


def endpoints(service: Service, reader: BodyReader) -> list[Endpoint]:
    """Return all of them."""
    return [
        Endpoint("POST", "/v1/search", partial(search.search, service),
                 summary="Find passages of the documents", request=document_types.SearchRequest,
                 response=document_types.SearchResponse, reader=reader),
        Endpoint("GET", "/v1/documents/{number}", partial(search.document, service),
                 summary="Read a part of a document", parameters=document_types.DocumentRequest,
                 response=document_types.DocumentResponse, wakes=False),
    ]  # fmt: skip
