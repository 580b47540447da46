"""Reasoning that a client carries unread from an answer to the next request.

Some protocols let a client keep nothing of a model's reasoning but a text that only its server can
read. Nothing is secret here, where the reasoning may as well be asked for: it is packed in base64.
"""

from __future__ import annotations

import base64
import binascii

MARK = "modelembed-reasoning:"


def packed(reasoning: str) -> str:
    """Return reasoning as a client carries it."""
    return MARK + base64.b64encode(reasoning.encode("utf-8", "replace")).decode("ascii")


def unpacked(carried: str) -> str:
    """Return the reasoning that a client has carried; empty if it is none of ours."""
    if not carried.startswith(MARK):
        return ""
    try:
        data = base64.b64decode(carried.removeprefix(MARK), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return data.decode("utf-8", "replace")
