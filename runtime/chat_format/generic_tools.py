"""Tool calls with a chat template that has no place for them, or fails with them.

The tools are described in the system prompt, and calls are asked for as JSON between two tags. The
grammar and the parser for them are llama.cpp's own, for a small template that has this form.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runtime.chat_format.answer_reader import AnswerReader, ContentReader, Delta
from runtime.chat_format.chat_template import (
    FormattedPrompt,
    JinjaTemplate,
    Message,
    Template,
    TemplateInputs,
    only_named,
    text_of,
)
from runtime.inference.answer_form import AnswerForm

SOURCE = """\
{%- if tools %}{{ '<|system|>' + (tools | tojson) + '\\n' }}{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- '<|user|><tool_response>' + message.content + '</tool_response>\\n' }}
{%- else %}{{ '<|' + message.role + '|>' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\\n</tool_call>\\n' }}
{%- endfor %}{{ '<|end|>\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""
"""A template with this form of calls; only its grammar and parser are used."""

INSTRUCTIONS = """\
You can call these tools, described as JSON:

<tools>
{tools}
</tools>

To call a tool, write a JSON object with its name and arguments between these tags, and nothing \
after the last of them:

<tool_call>
{{"name": "the tool's name", "arguments": {{"an argument": "its value"}}}}
</tool_call>

The result follows in a message between <tool_response> tags."""


def concern(inputs: TemplateInputs) -> bool:
    """Return whether there are tools, calls or results in the inputs."""
    return bool(inputs.tools) or any(
        message["role"] == "tool" or message.get("tool_calls") for message in inputs.messages
    )


def apply(template: Template, inputs: TemplateInputs) -> FormattedPrompt:
    """Return the prompt of a conversation with tools; raise ModelError if the template fails."""
    if not inputs.tools or inputs.tool_choice == "none":
        return template.apply(replace(inputs, messages=_written_out(inputs.messages), tools=()))
    own = template.apply(_without_tools(inputs))
    if inputs.tool_choice != "required" and (inputs.grammar or inputs.json_schema is not None):
        return own  # as with a template's own tools: the answer has the form that is asked for
    return _with_calls(own, inputs)


def held(prompt: FormattedPrompt, inputs: TemplateInputs) -> FormattedPrompt:
    """Return the prompt of a required call whose own form does not hold it to its parameters."""
    return _with_calls(replace(prompt, reader=ContentReader), inputs)


def _with_calls(own: FormattedPrompt, inputs: TemplateInputs) -> FormattedPrompt:
    """Return the prompt for answers with calls in the generic way."""
    donor = _donor().apply(
        TemplateInputs(
            messages=[{"role": "user", "content": "?"}],
            tools=only_named(inputs).tools,
            tool_choice=inputs.tool_choice,
            parallel_tool_calls=inputs.parallel_tool_calls is not False,
            reasoning_format="none",
        )
    )
    assert donor.form
    own_form = own.form or AnswerForm()
    form = replace(
        donor.form,
        reasoning_start=own_form.reasoning_start,
        reasoning_ends=own_form.reasoning_ends,
        reasoning_budget=inputs.reasoning_budget,
        shown_tokens=(*own_form.shown_tokens, *donor.form.shown_tokens),
    )
    reader = functools.partial(_Reader, own.reader, donor.reader)
    return FormattedPrompt(own.text, form, own.stops, reader)


@functools.cache
def _donor() -> Template:
    return JinjaTemplate(SOURCE)


def _without_tools(inputs: TemplateInputs) -> TemplateInputs:
    """Return the inputs with tools, calls and results written out in the messages."""
    messages = _written_out(inputs.messages)
    text = INSTRUCTIONS.format(
        tools="\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in inputs.tools)
    )
    if messages and messages[0]["role"] in ("system", "developer"):
        first = text_of(messages[0].get("content"))
        messages[0] = {"role": "system", "content": f"{first}\n\n{text}" if first else text}
    else:
        messages.insert(0, {"role": "system", "content": text})
    required = inputs.tool_choice == "required"
    return replace(
        inputs,
        messages=messages,
        tools=(),
        named_tool="",
        enable_thinking=inputs.enable_thinking and not required,
        end_reasoning=required,
    )


def _written_out(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages without tool calls and results of their own, user and assistant in turn."""
    found: list[dict[str, Any]] = []
    for message in messages:
        role, content = message["role"], text_of(message.get("content"))
        for call in message.get("tool_calls") or ():
            content += f"\n<tool_call>\n{_call(call['function'])}\n</tool_call>"
        if role == "tool":
            role, content = "user", f"<tool_response>\n{content}\n</tool_response>"
            if found and found[-1]["role"] == "user":
                found[-1]["content"] += f"\n{content}"
                continue
        found.append({"role": role, "content": content.lstrip("\n")})
    return found


def _call(function: Mapping[str, Any]) -> str:
    arguments = function["arguments"]
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = {"arguments": arguments}
    return json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)


class _Reader:
    """Reads the reasoning as the template writes it, and the calls in the rest."""

    def __init__(self, own: Callable[[], AnswerReader], donor: Callable[[], AnswerReader]) -> None:
        self._own, self._donor = own(), donor()

    def feed(self, text: str, *, last: bool, cut: bool = False) -> Delta:
        delta = self._own.feed(text, last=last, cut=cut)
        rest = self._donor.feed(delta.content, last=last, cut=cut)
        return Delta(delta.reasoning, rest.content, rest.calls)
