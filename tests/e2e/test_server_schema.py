"""The produced server against its own OpenAPI document, with requests made up from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from program import Program
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance
from servers import Served, serve

EXAMPLES = 25
# What cannot be told by a schema is refused, too: tokens that the model does not have, grammars
# that do not parse, prompts that do not fit.


@pytest.fixture(scope="module")
def server(chat: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "rain.txt").write_text("It rained all day, and nobody was out of doors.\n")
    flags = ("-t", "1", "-np", "4", "-c", "256", "-n", "4", "--pooling", "mean")
    with serve(chat, *flags, "--docs", str(folder), "--passages", "0") as running:
        yield running


@pytest.fixture(scope="module")
def described(server: Served) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", path) for path in ("/health", "/props", "/slots", "/metrics", "/v1/models")]
    + [("POST", f"/v1/{path}") for path in ("chat/completions", "completions", "embeddings")]
    + [("POST", f"/v1/{path}") for path in ("responses", "responses/input_tokens")]
    + [("GET", "/v1/models/{name}"), ("GET", "/v1/responses/{name}/input_items")]
    + [(method, "/v1/responses/{name}") for method in ("GET", "DELETE")]
    + [("POST", f"/v1/{path}") for path in ("messages", "messages/count_tokens")]
    + [("POST", "/completion"), ("POST", "/tokenize"), ("POST", "/detokenize")]
    + [("POST", "/apply-template"), ("POST", "/api/completion")]
    + [("POST", "/v1/rerank"), ("POST", "/infill"), ("POST", "/slots/{id_slot}")]
    + [(method, "/lora-adapters") for method in ("GET", "POST")]
    + [("GET", f"/api/{path}") for path in ("tags", "ps", "version")]
    + [("POST", f"/api/{path}") for path in ("chat", "generate", "embed", "embeddings", "show")]
    + [("POST", f"/api/{path}") for path in ("pull", "push", "create", "copy")]
    + [("POST", "/v1/search"), ("GET", "/v1/documents/{number}")]
    + [("DELETE", "/api/delete"), ("HEAD", "/api/blobs/{digest}"), ("POST", "/api/blobs/{digest}")],
)
def test_every_answer_is_as_described(described: Any, method: str, path: str) -> None:
    modes = list(schemathesis.GenerationMode)

    @given(strategies.one_of(*(described[path][method].as_strategy(mode) for mode in modes)))
    @settings(
        max_examples=EXAMPLES if method == "POST" or "{" in path else 2,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        if isinstance(case.body, dict):
            for name in (
                "n",
                "max_tokens",
                "max_completion_tokens",
                "max_output_tokens",
                "n_predict",
                "t_max_predict_ms",
            ):
                if isinstance(case.body.get(name), int):
                    case.body[name] = min(case.body[name], 2)  # what is long is tested elsewhere
        response = case.call(timeout=60)
        able = response.status_code != 501  # what needs another model
        case.validate_response(
            response,
            excluded_checks=[positive_data_acceptance, *[not_a_server_error] * (not able)],
        )

    check()


def test_the_document_names_every_path(described: Any) -> None:
    found = {operation.ok().path for operation in described.get_all_operations()}
    assert len(found) == 41


def test_nothing_went_wrong_inside(server: Served) -> None:
    assert "error:" not in "".join(server.said)
    assert server.stop() == 0
