"""What a program says about itself."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.commands.bundles import about


@pytest.mark.parametrize(
    ("stub", "told"),
    [
        ({"gpus": ["vulkan"]}, "by Vulkan"),
        (
            {"gpus": ["cuda", "vulkan"], "cuda": ["86", "90"]},
            "by CUDA (architectures 86, 90), by Vulkan",
        ),
        ({"gpus": []}, None),
        ({"gpus": "vulkan"}, None),
        ({}, None),
    ],
)
def test_the_ways_to_gpus_are_named(stub: dict[str, Any], told: str | None) -> None:
    document = {
        "name": "x", "model": {}, "sections": [], "sidecar": "", "signed_by": "", "defaults": {},
        "tool": "t", "stub": stub,
    }  # fmt: skip
    rows = dict(line.split("  ", 1) for line in about.lines(document))

    assert told == (rows["GPUs"].strip() if "GPUs" in rows else None)
