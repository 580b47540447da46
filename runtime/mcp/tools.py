"""The tools that this program offers to agents."""

from __future__ import annotations

from runtime.dialogue.fallback import remote_client
from runtime.mcp.ask import Ask
from runtime.mcp.opening import Opening
from runtime.mcp.search import Search
from runtime.mcp.tool import Tool
from runtime.options.registry import Options


def offered(
    opening: Opening, options: Options, model: str, program: str, *, documents: bool
) -> list[Tool]:
    """Return all tools, named after model and program; one searches `documents` if there are."""
    server = remote_client.configured(options)
    tools = [Ask(opening, model, server.base_url if server else "", documents=documents).tool()]
    return [*tools, Search(opening, program).tool()] if documents else tools
