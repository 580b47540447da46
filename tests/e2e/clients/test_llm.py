"""The command `llm`, with one line of configuration: questions, conversations, schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from client_packages import package
from repertoire import cue
from servers import Served
from typed_answers import ANSWERS, Nested, as_json

package("llm")

HELLO, AFTER = "Hello there, Zoë.", "It is sunny in Rome."
SAYS = ({"hello": HELLO, "nested": as_json(ANSWERS["nested"])}, {"after": AFTER})
MODEL = "- {{model_id: chat, model_name: any, api_base: '{url}/v1', supports_schema: true}}\n"


@pytest.fixture(scope="module")
def folder(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("llm")
    (made / "extra-openai-models.yaml").write_text(MODEL.format(url=server.url))
    return made


def run(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        capture_output=True, encoding="utf-8", timeout=120, check=False,
        env={**os.environ, "LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "none", **variables},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_question(folder: Path) -> None:
    assert HELLO == run(folder, "-m", "chat", cue("hello"))
    assert HELLO == run(folder, "-m", "chat", "--no-stream", cue("hello"))
    assert HELLO == run(folder, "-m", "chat", "-s", "Be kind.", cue("hello"))


def test_a_conversation(folder: Path) -> None:
    assert HELLO == run(folder, "-m", "chat", cue("hello"))
    assert AFTER == run(folder, "-c", cue("after"))


def test_a_schema(folder: Path) -> None:
    schema = json.dumps(Nested.model_json_schema())
    found = run(folder, "-m", "chat", "--schema", schema, cue("nested"))
    assert ANSWERS["nested"] == Nested.model_validate_json(found)


def test_as_a_model_of_ollama(server: Served, folder: Path) -> None:
    package("llm_ollama")
    found = run(folder, "-m", "ollama/repertoire", cue("hello"), OLLAMA_HOST=server.url)
    assert HELLO == found
