"""What a chat request asks for, read within bounds."""

from __future__ import annotations

import pytest

from runtime import bounds
from runtime.server.http.http_error import HTTPError
from runtime.server.protocols import template_inputs

TOOLS = [{"function": {"name": name, "parameters": {"type": "object"}}} for name in ("a", "b")]


def test_tools_that_take_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    template_inputs._require_schemas(TOOLS)
    monkeypatch.setattr(bounds, "TOOLS_SECONDS", -1.0)
    with pytest.raises(HTTPError, match="of 1 tool took more than") as caught:
        template_inputs._require_schemas(TOOLS)
    assert (400, "tools") == (caught.value.status, caught.value.param)
