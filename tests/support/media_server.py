"""What a server is asked that takes pictures or sounds, at its address, and what it answers."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

SECONDS = 60


def posted(url: str, body: dict[str, Any]) -> Any:
    """Send JSON, return the JSON that comes back."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def text_of(answer: Any) -> str:
    """Return the text of an answer of chat completions."""
    return str(answer["choices"][0]["message"]["content"])


def encoded(address: str) -> int:
    """Return how many pictures and sounds were encoded so far."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=SECONDS) as metrics:
        found = re.search(r"^llamacpp:media_encoded_total (\d+)$", metrics.read().decode(), re.M)
    assert found
    return int(found[1])
