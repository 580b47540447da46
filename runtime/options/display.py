"""Options of what a terminal shows."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True)
class DisplayOptions:
    """What is shown beside the answer, and how."""

    color: str = option(
        "auto", "--color", "-co", choices=("auto", "on", "off"), help="colour in the chat"
    )
    markdown: bool = option(
        True,
        "--markdown",
        help="show bold, lists and code in colours in the chat, where colour is on",
    )
    stats: bool = option(False, "--stats", help="print tokens, speed and context after answers")
    verbose: bool = option(False, "--verbose", "-v", baked=False, help="show the engine's log")
