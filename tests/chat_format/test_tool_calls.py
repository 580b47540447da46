"""Calls of tools as models write them: told apart however they come, and forced by grammars."""

from __future__ import annotations

import json

import pytest
from engines import in_child
from hypothesis import given
from hypothesis import strategies as st
from runtime.chat_format.tool_calls import (
    FORMATS,
    CallArguments,
    CallFormat,
    CallParser,
    CallStart,
    format_of,
    grammar,
)

BY_NAME = {form.name: form for form in FORMATS}
HERMES, LLAMA = BY_NAME["hermes"], BY_NAME["llama"]
MISTRAL, MISTRAL11 = BY_NAME["mistral"], BY_NAME["mistral11"]
ROME = '{"city": "Rome", "say": "} ] \\" <tool_call>", "n": [1, {"a": {}}]}'

CASES = [
    (HERMES, "Hello.", "Hello.", []),
    (HERMES, "a < b <tool", "a < b <tool", []),
    (HERMES, f'<tool_call>\n{{"name": "f", "arguments": {ROME}}}\n</tool_call>', "", [("f", ROME)]),
    (
        HERMES,
        f'Wait. <tool_call>{{"name": "f", "arguments": {ROME}}}</tool_call>\n'
        '<tool_call>{"name": "g", "arguments": {}}</tool_call>',
        "Wait.",
        [("f", ROME), ("g", "{}")],
    ),
    (HERMES, '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>', "",
     [("f", '{"a": 1}')]),
    (HERMES, '<tool_call>{"name": "f"}</tool_call>', "", [("f", "{}")]),
    (HERMES, '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', "",
     [("f", '{"a": 1}')]),
    (HERMES, "<tool_call>no JSON", "no JSON", []),
    (HERMES, '<tool_call>{"name": "f", "arguments": {"a', "", [("f", '{"a')]),
    (LLAMA, f'{{"name": "f", "parameters": {ROME}}}', "", [("f", ROME)]),
    (LLAMA, f'<|python_tag|>{{"type": "function", "name": "f", "parameters": {ROME}}}', "",
     [("f", ROME)]),
    (LLAMA, '{"name": "f", "parameters": {}}; {"name": "g", "parameters": {"a": 1}}', "",
     [("f", "{}"), ("g", '{"a": 1}')]),
    (LLAMA, "The answer is {4}.", "The answer is {4}.", []),
    (LLAMA, '{"answer": 4}', '{"answer": 4}', []),
    (MISTRAL, f'[TOOL_CALLS][{{"name": "f", "arguments": {ROME}}}, '
     '{"name": "g", "arguments": {}}]', "", [("f", ROME), ("g", "{}")]),
    (MISTRAL11, f"So: [TOOL_CALLS]f[ARGS]{ROME}[TOOL_CALLS]g[ARGS]{{}}", "So:",
     [("f", ROME), ("g", "{}")]),
]  # fmt: skip


def read(form: CallFormat, parts: list[str]) -> tuple[str, list[tuple[str, str]]]:
    calls = CallParser(form)
    said = [item for part in parts for item in calls.feed(part)] + [*calls.rest()]
    text, found = "", []
    for item in said:
        if isinstance(item, CallStart):
            found.append((item.name, ""))
        elif isinstance(item, CallArguments):
            found[-1] = (found[-1][0], found[-1][1] + item.text)
        else:
            text += item
    assert calls.count == len(found)
    return text.strip(), found


@pytest.mark.parametrize(("form", "text", "content", "calls"), CASES)
def test_text_and_calls_are_told_apart(
    form: CallFormat, text: str, content: str, calls: list[tuple[str, str]]
) -> None:
    assert (content, calls) == read(form, [text])
    assert (content, calls) == read(form, list(text))


@given(st.sampled_from(CASES), st.lists(st.integers(1, 9), max_size=60))
def test_however_it_comes(
    case: tuple[CallFormat, str, str, list[tuple[str, str]]], lengths: list[int]
) -> None:
    form, text, content, calls = case
    parts, begin = [], 0
    for length in lengths:
        parts.append(text[begin : begin + length])
        begin += length
    assert (content, calls) == read(form, [*parts, text[begin:]])


@given(st.sampled_from(FORMATS), st.text(max_size=60), st.integers(0, 60))
def test_nothing_breaks_it(form: CallFormat, text: str, cut: int) -> None:
    marked = text[:cut] + form.begin + text[cut:]
    read(form, [marked[:cut], marked[cut:]])
    read(form, [*marked])


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{ tools }}<tool_call></tool_call>", "hermes"),
        ("{{ tools }}[AVAILABLE_TOOLS][TOOL_CALLS]", "mistral"),
        ("{{ tools }}[TOOL_CALLS]{{ name }}[ARGS]", "mistral11"),
        ("{{ tools }}<|python_tag|>", "llama"),
        ("{{ tools }} Environment: ipython parameters", "llama"),
        ("{{ messages }}", None),
        ("{{ tools }}<tool_call><function=", None),
        ("{{ tools }} in a way of its own", None),
    ],
)
def test_the_format_is_known_by_the_template(template: str, name: str | None) -> None:
    found = format_of(template)
    assert (found.name if found else None) == name


def tool(name: str, **properties: object) -> dict[str, object]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@in_child
def test_a_forced_call_is_one() -> None:
    """The demo model has never heard of tools: what it writes is the grammar's doing."""
    import dataclasses

    from engines import GREEDY, engine, question

    city = {"enum": ["Rome", "Paris"]}
    tools = [tool("weather", city=city), tool("news", city=city, root={"type": "boolean"})]
    with engine() as one:
        for form in FORMATS:
            text = grammar(form, tools)
            options = dataclasses.replace(GREEDY, grammar=text, n_predict=200)
            said = "".join(piece.text for piece in one.submit(question("Hello"), options))
            content, calls = read(form, [said])
            assert content == "", (form, said)
            ((name, arguments),) = calls
            assert name in ("weather", "news")
            assert json.loads(arguments)["city"] in ("Rome", "Paris")
