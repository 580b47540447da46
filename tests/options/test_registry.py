"""The table of runtime options: names, bounds, spellings."""

from __future__ import annotations

import dataclasses
from typing import Any, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.commands.argument_rewrites import normalized
from runtime.commands.option_precedence import merged_options
from runtime.errors import UsageError
from runtime.options.loading import CACHE_TYPES
from runtime.options.registry import SPECS, Options, check, parse, resolve_name
from runtime.options.serving import server_defaults


def test_last_source_wins() -> None:
    baked = Options().merged({"temp": 0.2, "top_k": 7}, "baked-in ")
    final = baked.merged({"temp": 0.5}, "--")

    assert (0.5, 7, 0.95) == (final.temp, final.top_k, final.top_p)
    assert (0.8, 40) == (Options().temp, Options().top_k)


@pytest.mark.parametrize("name", SPECS)
def test_every_option_describes_itself(name: str) -> None:
    spec = SPECS[name]

    assert spec.help
    assert not spec.help.endswith(".")
    assert spec.long_flag in spec.flags
    assert spec.default == getattr(Options(), name) == check(name, spec.default, name)
    if spec.python_type not in (bool, str):
        assert spec.metavar


def test_the_type_of_an_option_is_the_one_it_is_declared_with() -> None:
    declared = {name: get_origin(hint) or hint for name, hint in get_type_hints(Options).items()}

    assert declared == {name: spec.python_type for name, spec in SPECS.items()}


def test_no_name_means_two_options() -> None:
    names = [name for key, spec in SPECS.items() for name in (key, *spec.aliases)]
    flags = [flag for spec in SPECS.values() for flag in spec.flags]

    assert len(set(names)) == len(names)
    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        ("temp", "temp"),
        ("temp", "temperature"),
        ("temp", "--temp"),
        ("top_k", "top-k"),
        ("n_predict", "max_tokens"),
        ("ctx_size", "context_length"),
        ("ctx_size", "n_ctx"),
        ("gpu_layers", "n_gpu_layers"),
        ("system", "system_prompt"),
    ],
)
def test_option_by_any_of_its_names(expected: str, name: str) -> None:
    assert expected == resolve_name(name)


@pytest.mark.parametrize(
    ("name", "hint"), [("tmep", "did you mean 'temp'?"), ("verbose", "the options: "), ("", "the")]
)
def test_unknown_option_is_named(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"there is no option '{name}'") as caught:
        resolve_name(name)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("temp", "warm", "a number from 0 to 100"),
        ("temp", None, "a number from 0 to 100"),
        ("temp", True, "a number from 0 to 100"),
        ("temp", -0.1, "a number from 0 to 100"),
        ("temp", float("nan"), "a number from 0 to 100"),
        ("temp", float("inf"), "a number from 0 to 100"),
        pytest.param("temp", 10**400, "a number from 0 to 100", id="temp-huge"),
        ("top_p", 1.01, "a number from 0 to 1"),
        ("top_k", 4.5, "a whole number of at least 0"),
        ("top_k", True, "a whole number of at least 0"),
        ("threads", 1025, "a whole number from 0 to 1024"),
        ("seed", 1 << 32, "a whole number from -1 to 4294967295"),
        ("fit", 1, "true or false"),
        ("system", 7, "text"),
        ("color", "blue", "auto or on or off"),
        ("color", ["on"], "auto or on or off"),
        ("flash_attn", "ON", "on or off or auto"),
        ("flash_attn", 2, "on or off or auto"),
        ("flash_attn", ["on"], "on or off or auto"),
    ],
)
def test_wrong_value_is_named(key: str, value: Any, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(key, value, f"config.json: {key}")
    shown = {"None": "null", "True": "true"}.get(repr(value), repr(value))
    assert f"'config.json: {key}' is {shown}, expected {expected}" == caught.value.problem
    assert f"{SPECS[key].long_flag}: {SPECS[key].help}" == caught.value.hint


INTEGERS = [name for name, spec in SPECS.items() if spec.python_type is int]


@pytest.mark.parametrize("key", INTEGERS)
def test_numbers_that_the_engine_cannot_hold_are_refused(key: str) -> None:
    # The engine's own are 32 bits wide: more would silently become something else.
    for value in (1 << 33, -(1 << 33)):
        with pytest.raises(UsageError):
            check(key, value, key)


def test_baked_option_of_a_newer_release_says_so() -> None:
    with pytest.raises(UsageError, match="there is no option 'baked-in telepathy'") as caught:
        Options().merged({"telepathy": 2}, "baked-in ")
    assert "this bundle needs a newer runtime" == caught.value.hint


@pytest.mark.parametrize(
    ("expected", "key", "text"),
    [
        (0.5, "temp", "0.5"),
        (1.0, "temp", "1"),
        (-1, "seed", "-1"),
        (True, "fit", "Yes"),
        (False, "fit", "off"),
        (True, "fit", "T"),
        ("", "system", ""),
        ("a=b", "system", "a=b"),
        (-1, "ctx_size", "-1"),
        ("on", "flash_attn", "enabled"),
        ("auto", "flash_attn", "-1"),
    ],
)
def test_text_is_parsed(expected: Any, key: str, text: str) -> None:
    found = parse(key, text)

    assert (expected, type(expected)) == (found, type(found))


@pytest.mark.parametrize(
    ("key", "text"),
    [("temp", "warm"), ("top_k", "4.5"), ("top_k", "9" * 5000), ("fit", "maybe")],
    ids=["warm", "fraction", "huge", "maybe"],
)
def test_text_that_cannot_be_parsed(key: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"'--set {key}' is '{text[:10]}"):
        parse(key, text, f"--set {key}")


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("on", ("on", "enabled", "true", "1", True, 1)),
        ("off", ("off", "disabled", "false", "0", False, 0)),
        ("auto", ("auto", "-1", -1)),
    ],
)
def test_flash_attention_is_spelled_as_llama_cpp_takes_it(
    expected: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        assert expected == check("flash_attn", value, "flash_attn")


@pytest.mark.parametrize("kind", CACHE_TYPES)
def test_quantized_values_without_flash_attention_are_refused_at_once(kind: str) -> None:
    asked = {"cache_type_v": kind, "flash_attn": "0"}
    if kind in ("f32", "f16", "bf16"):
        assert "off" == merged_options(None, asked, None).flash_attn
        return
    with pytest.raises(UsageError, match=f"values of type {kind} in the KV cache need flash"):
        merged_options(None, asked, None)
    for setting in ("auto", "on"):
        assert kind == merged_options(None, {**asked, "flash_attn": setting}, None).cache_type_v


@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        (["--color", "off", "why"], ["--color", "never", "why"]),
        (["-co", "on"], ["-co", "always"]),
        (["-co", "off"], ["-co=no"]),
        (["--color", "on", "x"], ["--color=yes", "x"]),
        (["--color", "auto"], ["--color", "auto"]),
        (["--color", "on", "red"], ["--color", "red"]),
        (["--color", "on"], ["--color"]),
        (["--color", "red"], ["--color=red"]),
        (["-p", "--color"], ["-p", "--color"]),
    ],
)
def test_color_is_given_as_other_programs_take_it(expected: list[str], typed: list[str]) -> None:
    assert expected == normalized(typed)


@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        (["-n", "5", "why"], ["-n=5", "why"]),
        (["-n", ""], ["-n="]),
        (["--temp=0.2"], ["--temp=0.2"]),
        (["--embedded"], ["-embedded"]),
        (["--grammar", "@g.gbnf", "why"], ["--grammar-file", "g.gbnf", "why"]),
        (["--json-schema", "@s.json"], ["-jf=s.json"]),
        (["--json-schema", "@-n=5"], ["--json-schema-file", "-n=5"]),
        (["--grammar"], ["--grammar-file"]),
        (["-n", "5", "--", "-n=5", "--color"], ["-n=5", "--", "-n=5", "--color"]),
        (["--grammar", "--", "x"], ["--grammar-file", "--", "x"]),
        (["-p", "--", "-n=5"], ["-p", "--", "-n=5"]),
        (["--no-repack", "-n", "5"], ["-nr", "-n=5"]),
        (["-p", "-nr"], ["-p", "-nr"]),
    ],
)
def test_spellings_of_other_programs(expected: list[str], typed: list[str]) -> None:
    assert expected == normalized(typed)


@pytest.mark.parametrize("flag", ["-p", "--system", "--greeting"])
@pytest.mark.parametrize("text", ["-n=5", "-i=maybe", "-embedded", "--color", "-jf", "-p", "a=b"])
def test_free_text_is_left_as_it_is(flag: str, text: str) -> None:
    assert [flag, text, "never"] == normalized([flag, text, "never"])
    assert [flag, text, "-n", "5"] == normalized([flag, text, "-n=5"])


def test_flags_take_what_options_take() -> None:
    assert ["--no-interactive", "--embedded"] == normalized(["-i=No", "--embedded=on"])
    with pytest.raises(UsageError, match="'-i=maybe' is neither true nor false"):
        normalized(["-i=maybe"])


def test_lists() -> None:
    assert ("a",) == parse("stop", "a")
    assert ("a", "b") == check("stop", ["a", "b"], "stop") == check("stop", ("a", "b"), "stop")
    for wrong in ("a", ["a", 1], None, {"a": "b"}):
        with pytest.raises(UsageError, match="expected a list of texts"):
            check("stop", wrong, "stop")


@pytest.mark.parametrize(
    ("repack", "given"),
    [
        (True, {}),
        (True, {"workers": 1}),
        (False, {"workers": 2}),
        (True, {"workers": 2, "repack": True}),
        (False, {"repack": False}),
    ],
)
def test_several_workers_share_the_weights_unless_told_otherwise(
    repack: bool, given: dict[str, Any]
) -> None:
    options = merged_options(None, {"threads": None, "stop": (), **given}, None, server_defaults)

    assert (repack, 4) == (options.repack, options.parallel)
    assert 2 == merged_options(None, {"parallel": 2}, None, server_defaults).parallel


@given(st.sampled_from(sorted(SPECS)), st.text() | st.integers() | st.floats() | st.booleans())
def test_any_value_is_taken_or_refused(key: str, value: Any) -> None:
    try:
        found = check(key, value, key)
    except UsageError:
        return

    assert value == found or found in SPECS[key].spellings.values()
    assert SPECS[key].python_type is type(found)
    assert found == getattr(dataclasses.replace(Options(), **{key: found}), key)
