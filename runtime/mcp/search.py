"""Search: the tool by which an agent finds passages in the documents of this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.dialogue.loaded_model import LoadedModel
from runtime.errors import ModelError
from runtime.mcp.opening import Opening
from runtime.mcp.tool import Answer, Call, Tool

PASSAGES = 5
"""Passages, unless a call asks for more or fewer."""
PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "query": {
        "type": "string",
        "description": "a question, or words of it; kind:NAME, path:PATTERN, after:2024-05 and "
        "before:2025 among them limit what is found",
    },
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": bounds.FOUND,
        "description": f"how many passages at most, {PASSAGES} if it is not said",
    },
}


@dataclass(frozen=True)
class Search:
    """Finds passages, each with the place where it stands."""

    opening: Opening
    name: str
    """Of the program, for the agent."""

    def tool(self) -> Tool:
        """Return the tool."""
        return Tool(
            name="search",
            title=f"Search the documents of {self.name}",
            description=f"Find passages in the documents that {self.name} carries, the best first, "
            "each with its place. They are searched on this machine.",
            properties=PROPERTIES,
            required=("query",),
            run=self.answer,
        )

    def answer(self, call: Call) -> Answer:
        """Return the passages that fit; raise AppError if they cannot be looked for."""
        query, limit = call.text("query"), call.count("limit", bounds.FOUND)
        call.doing = "waiting for the documents"
        backend = self.opening.backend()
        library = backend.library if isinstance(backend, LoadedModel) else None
        if library is None:
            raise ModelError(
                "the documents are not open, since the model could not be loaded",
                hint="mend that: the program's command doctor says what it needs",
            )
        from runtime.retrieval.sources import Source  # most programs have no documents

        call.doing = "searching"
        found = library.find(query, limit or PASSAGES).passages
        sources = (Source(*one) for one in enumerate(found, 1))
        texts = [f"{source.line}\n\n{source.passage.text}" for source in sources]
        return Answer(texts or ["Nothing was found."])
