"""What is baked in: from a JSON file with the keys people have, and from --set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.commands import config_file
from bundler.commands.config_file import Config
from runtime.errors import UsageError
from runtime.options import registry

USUAL = {
    "model": "tinyllama",
    "display_name": "TinyLlama 1.1B",
    "model_path": "models/tiny.gguf",
    "context_length": 2048,
    "n_gpu_layers": 0,
    "supports_images": False,
    "parameters": {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "max_tokens": 512},
}


def read(folder: Path, document: Any) -> Config:
    path = folder / "config.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return config_file.read(path)


def refusal(folder: Path, document: Any) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder, document)
    return caught.value.problem.removeprefix(f"{folder}/")


def test_usual_file(tmp_path: Path) -> None:
    found = read(tmp_path, USUAL)

    assert ("TinyLlama 1.1B", tmp_path / "models" / "tiny.gguf") == (found.name, found.model)
    assert [] == found.warnings
    assert {
        "ctx_size": 2048,
        "gpu_layers": 0,
        "temp": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "n_predict": 512,
    } == found.defaults


def test_display_name_wins_whatever_the_order(tmp_path: Path) -> None:
    turned = dict(reversed(USUAL.items()))

    assert "TinyLlama 1.1B" == read(tmp_path, turned).name
    assert "tinyllama" == read(tmp_path, {"model": "tinyllama"}).name


def test_path_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("MODELS", "/data")

    assert Path("/home/ada/m.gguf") == read(tmp_path, {"model_path": "~/m.gguf"}).model
    assert Path("/data/m.gguf") == read(tmp_path, {"model_path": "$MODELS/m.gguf"}).model
    assert Path("/data/m.gguf") == read(tmp_path, {"model_path": "${MODELS}/m.gguf"}).model
    assert tmp_path / "m.gguf" == read(tmp_path, {"model_path": "m.gguf"}).model


def test_text_options(tmp_path: Path) -> None:
    found = read(tmp_path, {"system_prompt": "Kurz — 短く", "greeting": "Hi", "license": "MIT"})

    assert {"system": "Kurz — 短く", "greeting": "Hi"} == found.defaults
    assert "MIT" == found.license


def test_unknown_keys_are_named_and_ignored(tmp_path: Path) -> None:
    found = read(tmp_path, {"contxt_length": 1, "zzz": 2, "parameters": {"temprature": 1}})

    assert {} == found.defaults
    assert [
        "unknown key 'contxt_length' is ignored (did you mean 'context_length'?)",
        "unknown key 'zzz' is ignored",
    ] == [warning.partition(": ")[2] for warning in found.warnings[:2]]
    assert "unknown key 'parameters.temprature' is ignored" in found.warnings[2]


def test_the_provider_is_known(tmp_path: Path) -> None:
    assert [] == read(tmp_path, {"provider": "llama_cpp"}).warnings
    (warning,) = read(tmp_path, {"provider": "openai"}).warnings
    assert "'provider' is 'openai', expected 'llama_cpp'" in warning


def test_a_projector_is_a_file_beside_it_or_a_word(tmp_path: Path) -> None:
    assert str(tmp_path / "mmproj.gguf") == read(tmp_path, {"mmproj": "mmproj.gguf"}).mmproj
    assert "/elsewhere.gguf" == read(tmp_path, {"mmproj": "/elsewhere.gguf"}).mmproj
    assert "none" == read(tmp_path, {"mmproj": "none"}).mmproj
    assert "" == read(tmp_path, {}).mmproj


def test_images_are_said_or_not(tmp_path: Path) -> None:
    for value in (True, False):
        assert value is read(tmp_path, {"supports_images": value}).supports_images
    assert read(tmp_path, {}).supports_images is None


@pytest.mark.parametrize(
    ("expected", "document"),
    [
        ("config.json: 'context_length' is \"big\", expected a whole number",
         {"context_length": "big"}),
        ("config.json: 'context_length' is true, expected a whole number",
         {"context_length": True}),
        ("config.json: 'parameters' is [], expected an object", {"parameters": []}),
        ("config.json: 'supports_images' is 0, expected true or false", {"supports_images": 0}),
        ("config.json holds list, expected an object", []),
        ("config.json holds NoneType, expected an object", None),
    ],
)  # fmt: skip
def test_wrong_type_is_named(tmp_path: Path, expected: str, document: Any) -> None:
    assert expected == refusal(tmp_path, document)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("parameters.temperature", {"parameters": {"temperature": "warm"}}),
        ("parameters.temperature", {"parameters": {"temperature": -1}}),
        ("parameters.temperature", '{"parameters": {"temperature": NaN}}'),
        ("parameters.temperature", '{"parameters": {"temperature": 1e999}}'),
        pytest.param(
            "parameters.temperature", f'{{"parameters": {{"temperature": {10**400}}}}}', id="huge"
        ),
        ("parameters.top_k", {"parameters": {"top_k": 4.5}}),
        ("context_length", {"context_length": -2}),
    ],
)
def test_wrong_value_is_named_by_its_path(tmp_path: Path, path: str, document: Any) -> None:
    assert f": {path}' is " in refusal(tmp_path, document)


@pytest.mark.parametrize(
    "text",
    ["", "{", "not json", '{"a": 1,}', "[" * 100_000],
    ids=["empty", "open", "words", "comma", "deep"],
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    assert "config.json is not JSON: " in refusal(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert "no comma behind the last one: see the example in the README" in caught.value.hint


def test_file_saved_by_notepad(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b'\xef\xbb\xbf{"context_length": 7}')

    assert {"ctx_size": 7} == config_file.read(path).defaults


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UsageError, match="cannot be read: "):
            config_file.read(path)


def test_settings() -> None:
    pairs = ["temp=0.2", "temperature=0.3", "system=a=b", "fit=no", "--ctx-size=512"]

    assert {"temp": 0.3, "system": "a=b", "fit": False, "ctx_size": 512} == registry.from_pairs(
        pairs
    )


@pytest.mark.parametrize(
    ("message", "pair"),
    [
        ("'temp' is not KEY=VALUE", "temp"),
        ("there is no option 'tmep'", "tmep=1"),
        ("'--set temp' is 'warm', expected a number from 0 to 100", "temp=warm"),
        ("there is no option 'verbose'", "verbose=yes"),
    ],
)
def test_setting_that_makes_no_sense(message: str, pair: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.from_pairs([pair])


def test_a_setting_given_more_than_once_adds_up_where_it_can() -> None:
    found = registry.from_pairs(["stop=a", "--reverse-prompt=b", "temp=1", "temp=2"])

    assert {"stop": ("a", "b"), "temp": 2.0} == found


def test_a_file_is_read_wherever_its_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("Be brief.\n")
    (tmp_path / "t.jinja").write_text("{{ messages }}\n")
    beside = read(
        tmp_path,
        {"system": "@text", "chat_template": "t.jinja", "parameters": {"grammar": "@text"}},
    )
    assert {
        "system": "Be brief.",
        "chat_template": "{{ messages }}",
        "grammar": "Be brief.",
    } == beside.defaults

    monkeypatch.chdir(tmp_path)
    pairs = ["system=@text", "json_schema=@text", "chat_template=t.jinja", "stop=@text"]
    assert {
        "system": "Be brief.",
        "json_schema": "Be brief.",
        "chat_template": "{{ messages }}",
        "stop": ("@text",),
    } == registry.from_pairs(pairs)
    assert {"chat_template": "chatml"} == registry.from_pairs(["chat_template=chatml"])


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "nowhere.txt cannot be read: No such file or directory" == refusal(
        tmp_path, {"greeting": "@nowhere.txt"}
    )
    with pytest.raises(UsageError, match="nowhere cannot be read"):
        registry.from_pairs(["grammar=@nowhere"])
