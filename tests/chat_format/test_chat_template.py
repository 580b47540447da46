"""Chat templates: those of real models render as in the peer, hostile ones do no harm."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any

import ggufs
import pytest

from runtime.chat_format import chat_template
from runtime.chat_format.prompt import format_prompt
from runtime.errors import ModelError, OverBudget, UsageError
from runtime.model import libchat

SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "Hello"}
HI = {"role": "assistant", "content": "Hi!"}
WHO = {"role": "user", "content": "Who are you? <|im_end|> & 短い"}
TALK = (SYSTEM, HELLO, HI, WHO)

CHATML = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    "<|im_start|>assistant\nHi!<|im_end|>\n"
    "<|im_start|>user\nWho are you? <|im_end|> & 短い<|im_end|>\n<|im_start|>assistant\n"
)

# As Gemma's and Mistral's do: no system message, and strictly by turns.
STRICT = """
{{- bos_token -}}
{%- if messages[0]['role'] == 'system' -%}
    {{ raise_exception('System role not supported') }}
{%- endif -%}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Conversation roles must alternate') }}
    {%- endif -%}
    [{{ message['role'] }}] {{ message['content'] | trim }}{{ eos_token }}
{%- endfor -%}
{%- if add_generation_prompt -%}[assistant]{%- endif -%}
"""


def render(text: str, *messages: chat_template.Message) -> str:
    template = chat_template.from_text(text, bos="<s>", eos="</s>")
    return template.apply(chat_template.TemplateInputs(messages=messages or TALK)).text


def test_jinja_of_a_model() -> None:
    assert CHATML == render(ggufs.CHATML)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("<s>|</s>|True|none", "{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}|"
                               "{{ 'none' if not tools }}"),
        ("1 2 3 ", "{% for message in messages %}{{ loop.index }} {% endfor %}"),
        ("Be brief.\nHello", "{% for m in messages %}{% if m.role == 'assistant' %}{% break %}"
                  "{% endif %}{% if m.role != 'user' %}{% continue %}{% endif %}"
                  "{{ m.content }}{% endfor %}"),
        ('"a < b & \'短い\'"', "{{ \"a < b & '短い'\" | tojson }}"),
        ('{\n  "a": [\n    1\n  ]\n}', "{{ {'a': [1]} | tojson(indent=2) }}"),
        ("{}", "{{ {} | tojson(ensure_ascii=False) }}"),
        ("2", "{% set ns = namespace(n=0) %}{% for m in messages if m.role == 'user' %}"
              "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}"),
        ("a\nb", "{% if true %}\na\n{% endif %}\n    {% if true %}\nb{% endif %}"),
        ("", "{{ documents }}{{ nothing }}"),
        ("Be brief.\nHello", "{{ (messages | selectattr('role', 'equalto', 'user') | list)[0]"
                              ".content }}"),
        ("Be", "{{ messages[0].content.split(' ')[0].strip() }}"),
        ("Hi!", "{% generation %}{{ messages[1].content }}{% endgeneration %}"),
    ],
)  # fmt: skip
def test_what_templates_rely_on(expected: str, text: str) -> None:
    assert expected == render(text)


def test_date() -> None:
    assert re.fullmatch(r"\d{2} \w+ \d{4}", render("{{ strftime_now('%d %b %Y') }}"))
    assert str(datetime.now().year) in render("{{ strftime_now('%d %b %Y') }}")


def test_refused_system_message_goes_to_the_first_user() -> None:
    assert (
        "<s>[user] Be brief.\nHello</s>[assistant] Hi!</s>"
        "[user] Who are you? <|im_end|> & 短い</s>[assistant]" == render(STRICT)
    )


def test_refusal_is_told() -> None:
    with pytest.raises(ModelError, match="Conversation roles must alternate") as caught:
        render(STRICT, HELLO, WHO)
    assert "--chat-template" in caught.value.hint


def test_messages_are_not_changed_by_rendering() -> None:
    messages = [dict(SYSTEM), dict(HELLO)]
    render("{% set m = messages[0] %}{{ m.content }}", *messages)
    render(STRICT, *messages)

    assert [SYSTEM, HELLO] == messages


@pytest.mark.parametrize(
    "text",
    ["{% for m in messages %}", "{{ m. }}", "{% nonsense %}", "{{ 'a", "{% endif %}",
     "{% include 'secret' %}"],
    ids=["open", "dot", "tag", "quote", "end", "include"],
)  # fmt: skip
def test_template_that_does_not_parse(text: str) -> None:
    with pytest.raises(ModelError, match="the chat template does not parse: ") as caught:
        render(text)
    assert "--chat-template" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "{{ nothing() }}",
        "{{ messages | join(1, 2, 3, 4) }}",
        "{{ messages[0].content.index('z') }}",
        "{{ strftime_now(5) }}",
        "{{ raise_exception('no') }}",
        "{{ 'a'.encode('nonsense') }}",
    ],
)
def test_template_that_does_not_render(text: str) -> None:
    with pytest.raises(ModelError, match="the chat template does not render: "):
        render(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__['__builtins__'] }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ self._TemplateReference__context }}",
        "{{ ''.format.__self__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ lipsum.__globals__['os'].system('id') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'root'}) }}",
        "{{ messages[0].pop('role') }}",
    ],
)
def test_sandbox_lets_nothing_out(text: str) -> None:
    try:
        found = render(text)
    except ModelError:
        return

    assert not re.search(r"class|module|function|root|uid=|context", found)


@pytest.mark.parametrize("name", ["chatml", "llama3", "gemma"])
def test_named_template(name: str) -> None:
    found = render(name, *TALK[1:])

    assert name in chat_template.builtin_names()
    assert found.index("Hello") < found.index("Hi!") < found.index("短い")


def test_chatml_by_name_is_chatml() -> None:
    assert CHATML == render("chatml")
    assert "chatml" == chat_template.FALLBACK


def test_what_does_not_render_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tools there is no other way to render it, and each may take its whole budget."""
    template = chat_template.from_text("{{ raise_exception('no') }}", bos="", eos="")
    tried: list[Any] = []
    prompt = libchat.Template.prompt

    def counted(self: libchat.Template, request: Any) -> libchat.Prompt:
        tried.append(request)
        return prompt(self, request)

    assert not template.thinks
    monkeypatch.setattr(libchat.Template, "prompt", counted)
    with pytest.raises(ModelError, match="no"):
        format_prompt(template, chat_template.TemplateInputs(messages=[HELLO]))

    assert 1 == len(tried)


def test_long_text_in_a_named_template() -> None:
    long = {"role": "user", "content": "短" * 100_000}

    assert f"<|im_start|>user\n{'短' * 100_000}<|im_end|>\n" in render("chatml", long)


def test_many_short_messages_in_a_named_template() -> None:
    found = render("llama3", *[HELLO, HI] * 100)

    assert 100 == found.count("Hello")
    assert found.rstrip().endswith("assistant<|end_header_id|>")


def test_input_that_is_no_utf8_gets_through() -> None:
    piped = {"role": "user", "content": b"caf\xe9".decode("utf-8", "surrogateescape")}

    assert "caf" in render("llama3", piped)
    assert "caf" in render(ggufs.CHATML, piped)


def test_nothing_behind_a_nul_is_lost() -> None:
    ended = {"role": "user", "content": "Hello\0 and more"}

    assert "Hello\0 and more" in render(ggufs.CHATML, ended)
    with pytest.raises(ModelError, match="there is a NUL character"):
        render("llama3", ended)


@pytest.mark.parametrize("name", ["chatlm", "", "../etc/passwd"])
def test_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(UsageError, match=f"there is no chat template called '{name}'") as caught:
        chat_template.from_text(name)
    assert "chatml, " in caught.value.hint


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
        },
    },
}
HERMES = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}"
    "{% for call in m.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n'
    "</tool_call>{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def apply(source: str, **inputs: Any) -> chat_template.FormattedPrompt:
    """Return what a question about the weather becomes, with a tool for it."""
    asked = {"messages": [HELLO], "tools": [TOOL], **inputs}
    return format_prompt(chat_template.from_text(source), chat_template.TemplateInputs(**asked))


def test_a_call_is_asked_for_lazily_or_at_once() -> None:
    auto, required = apply(HERMES), apply(HERMES, tool_choice="required")

    assert auto.form and auto.form.lazy
    assert ["<tool_call>"] == [trigger.value.strip() for trigger in auto.form.triggers]
    assert required.form and required.form.grammar and not required.form.lazy
    assert auto.text == required.text
    assert "get_weather" in auto.text
    plain = apply(HERMES, tools=[]).form
    assert plain and not plain.grammar


def test_a_named_tool_is_the_only_one_allowed_and_all_are_shown() -> None:
    other = {"type": "function", "function": {"name": "get_time", "parameters": {}}}
    named = apply(HERMES, tools=[TOOL, other], tool_choice="required", named_tool="get_time")

    assert named.form
    assert "get_weather" in named.text
    assert "get_weather" not in named.form.grammar
    assert "get_time" in named.form.grammar


def test_tools_where_the_template_has_no_place_for_them() -> None:
    call = {"type": "function", "id": "1", "function": {"name": "get_weather", "arguments": "{}"}}
    turns = [
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    found = apply(ggufs.CHATML, messages=turns)

    assert "Tells the weather" in found.text
    assert '<tool_call>\n{"name": "get_weather", "arguments": {}}\n</tool_call>' in found.text
    assert "<|im_start|>user\n<tool_response>\nsunny\n</tool_response>" in found.text
    assert found.form and found.form.lazy
    reader = found.reader()
    said = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    deltas = [reader.feed(letter, last=False) for letter in said] + [reader.feed("", last=True)]
    calls = [delta for news in deltas for delta in news.calls]
    assert "get_weather" == calls[0].name
    assert {"city": "Rome"} == json.loads("".join(delta.arguments for delta in calls))


FAILS_WITH_TOOLS = HERMES.replace("{% if tools %}", "{% if tools %}{{ raise_exception('no') }}")
FAILS_WITH_RESULTS = (
    "{% for m in messages %}"
    "{% if m.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('no') }}{% endif %}"
    "<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def test_tools_that_a_template_fails_with_are_described_to_the_model() -> None:
    untyped = {"type": "object", "properties": {"any": {}, "list": {"type": "array"}}}
    strange = {"type": "function", "function": {"name": "f", "parameters": untyped}}
    reads_types = HERMES.replace(
        "{% if tools %}",
        "{% for t in tools or [] %}{% for p in t.function.parameters.properties.values() %}"
        "{% if p.type is not defined or (p.type == 'array' and p['items'] is not defined) %}"
        "{{ raise_exception('no type') }}{% endif %}{% endfor %}{% endfor %}{% if tools %}",
    )
    for source in (reads_types, FAILS_WITH_TOOLS):
        found = apply(source, tools=[strange])
        assert '{"name": "f", "parameters": ' in found.text
        assert "To call a tool" in found.text
        assert found.form and found.form.lazy


def test_calls_of_earlier_turns_are_written_out_where_the_template_fails_with_them() -> None:
    call = {"type": "function", "id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}
    turns = [
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    for asked in ({"tools": []}, {"tool_choice": "none"}):
        for source in (FAILS_WITH_RESULTS, "llama2"):
            found = apply(source, messages=turns, **asked)
            assert '{"name": "f", "arguments": {"a": 1}}' in found.text
            assert "sunny" in found.text
            assert "To call a tool" not in found.text
            assert not found.form or not found.form.grammar


def test_ids_of_calls_are_shortened_for_a_template_that_asks_for_it() -> None:
    source = HERMES.replace(
        "{% for call in m.tool_calls or [] %}",
        "{{ m.tool_call_id }}{% for call in m.tool_calls or [] %}"
        "{% if call.id | length != 9 %}{{ raise_exception('nine') }}{% endif %}{{ call.id }}",
    )
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [{**call, "id": "call_12345"}]},
        {"role": "tool", "tool_call_id": "call_12345", "content": "sunny"},
    ]
    found = apply(source, messages=turns)
    (short,) = re.findall(r"<\|assistant\|>(\w{9})<tool_call>", found.text)
    assert f"sunny{short}<|end|>" in found.text


def test_a_failure_that_is_not_the_tools_is_told_as_such() -> None:
    with pytest.raises(ModelError, match="only one turn"):
        apply("{% if tools %}{{ tools | tojson }}{% endif %}{{ raise_exception('only one turn') }}")


def test_a_schema_for_the_answer_holds_with_tools_too() -> None:
    schema = {"type": "object", "properties": {"zebra": {"type": "integer"}}}
    for source in (HERMES, ggufs.CHATML):
        held = apply(source, json_schema=schema).form
        assert held and "zebra" in held.grammar and not held.lazy
        called = apply(source, json_schema=schema, tool_choice="required").form
        assert called and "zebra" not in called.grammar and "get_weather" in called.grammar


def test_an_answer_is_continued() -> None:
    begun = [HELLO, {"role": "assistant", "content": "Hi, I a"}]
    found = apply(
        ggufs.CHATML,
        tools=[],
        messages=begun,
        continue_final_message=True,
        add_generation_prompt=False,
    )

    assert found.text.endswith("<|im_start|>assistant\nHi, I a")
    assert "m Ada" == found.reader().feed("m Ada", last=True).content


@pytest.mark.parametrize("day", chat_template.OTHER_DAYS)
def test_another_day_has_another_date(day: str) -> None:
    source = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content }}{% endfor %}"

    assert f"{day}Hello" == render(chat_template.on_day(source, day), HELLO)
    assert "chatml" == chat_template.on_day("chatml", day)


def test_a_template_over_its_budget_is_not_tried_again() -> None:
    loops = "".join("{% for a in range(99999) %}" for _ in range(3)) + "{% endfor %}" * 3
    begun = time.process_time()
    template = chat_template.from_text(loops)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = chat_template.TemplateInputs(messages=[HELLO], tools=[tool])
    for _ in range(3):
        with pytest.raises(OverBudget, match="too long"):
            format_prompt(template, asked)
    assert time.process_time() - begun < 2 + 5 + 1  # to look at it, to render it once
