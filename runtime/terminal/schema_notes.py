"""Notes about an answer's JSON schema: what it is not held to, and whether it follows it."""

from __future__ import annotations

from runtime.json_schema import schemas
from runtime.options.registry import Options
from runtime.sanitize import plain

SHOWN_MAX = 5


def before(options: Options) -> str:
    """Return what an answer will not be held to; empty for nothing. Raise UsageError for no schema.

    The engine must have been started.
    """
    if not options.json_schema:
        return ""
    found = [str(one) for one in schemas.prepared(options.json_schema).relaxed]
    if not found:
        return ""
    more = f", {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
    named = ", ".join(found[:SHOWN_MAX])
    return plain(f"no grammar holds the answer to all of the JSON schema: {named}{more}")


def after(options: Options, answer: str) -> str:
    """Return whether an answer follows the schema; empty if it was held to all of it."""
    if not options.json_schema:
        return ""
    schema = schemas.prepared(options.json_schema)
    if not schema.relaxed:
        return ""
    held = schema.held(answer)
    if held is None:
        return "whether the answer follows the JSON schema cannot be checked"
    return f"the answer {'follows' if held else 'does not follow'} the JSON schema"
