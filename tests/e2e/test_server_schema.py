"""The produced server against its own OpenAPI document, with requests made up from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from program import Program
from schemathesis.specs.openapi.checks import positive_data_acceptance
from servers import Served, serve

EXAMPLES = 25
# What cannot be told by a schema is refused, too: tokens that the model does not have, grammars
# that do not parse, prompts that do not fit.


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1", "-np", "4", "-c", "256", "-n", "4", "--pooling", "mean") as running:
        yield running


@pytest.fixture(scope="module")
def described(server: Served) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", path) for path in ("/health", "/props", "/slots", "/metrics", "/v1/models")]
    + [("POST", f"/v1/{path}") for path in ("chat/completions", "completions", "embeddings")]
    + [("POST", "/completion"), ("POST", "/tokenize"), ("POST", "/detokenize")]
    + [("POST", "/apply-template"), ("POST", "/api/completion")],
)
def test_every_answer_is_as_described(described: Any, method: str, path: str) -> None:
    modes = list(schemathesis.GenerationMode)

    @given(strategies.one_of(*(described[path][method].as_strategy(mode) for mode in modes)))
    @settings(
        max_examples=EXAMPLES if method == "POST" else 2,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        if isinstance(case.body, dict):
            for name in ("n", "max_tokens", "max_completion_tokens", "n_predict"):
                if isinstance(case.body.get(name), int):
                    case.body[name] = min(case.body[name], 2)  # what is long is tested elsewhere
        case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance])

    check()


def test_the_document_names_every_path(described: Any) -> None:
    found = {operation.ok().path for operation in described.get_all_operations()}
    assert len(found) == 13


def test_nothing_went_wrong_inside(server: Served) -> None:
    assert "error:" not in "".join(server.said)
    assert server.stop() == 0
