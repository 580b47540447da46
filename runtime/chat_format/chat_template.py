"""Chat templates: conversations to prompts, by llama.cpp's own chat library.

A template is Jinja source, or the name of one that is built into llama.cpp. The library finds out
from the source how the model writes reasoning and tool calls, and gives a grammar and a parser.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from runtime.chat_format import required_call, tool_parameters
from runtime.chat_format.answer_reader import AnswerReader, ContentReader, LibraryReader
from runtime.errors import ModelError, OverBudget
from runtime.inference.answer_form import AnswerForm, Trigger
from runtime.model import libchat
from runtime.model.llama_api import api
from runtime.options import builtin_templates

FALLBACK = "chatml"
Message = Mapping[str, Any]
"""In OpenAI's format: a `role`, a `content`, and with tools, more keys."""
Continuation = bool | Literal["reasoning_content", "content"]
PROBE = [{"role": "user", "content": "test"}]
PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe",
        "description": "",
        "parameters": {"type": "object", "properties": {"value": {"type": "string"}}},
    },
}
DEFAULT_VARIABLES: Mapping[str, Any] = {"preserve_reasoning": True}
"""As llama.cpp's programs set them."""
OTHER_DAYS = ("31 Dec 1999", "04 Jul 2048")
"""Days of which no part begins alike: no beginning of a date, whatever it is, is common to both."""
DATED = "{{% macro strftime_now(format) %}}{day}{{% endmacro %}}{{{{ '' }}}}"
"""What has a template that asks for the time itself print a day."""


@dataclass(frozen=True, kw_only=True)
class TemplateInputs:
    """What a template is applied to; the names are those of llama.cpp."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    """In OpenAI's format."""
    tool_choice: Literal["auto", "required", "none"] = "auto"
    named_tool: str = ""
    """The tool that must be called; empty for any."""
    parallel_tool_calls: bool | None = None
    """None leaves it to the template."""
    json_schema: Any = None
    """A schema that the answer must follow, None for none."""
    grammar: str = ""
    """A grammar in GBNF that the answer must follow; the reasoning, if begun, is ended first."""
    add_generation_prompt: bool = True
    continue_final_message: Continuation = False
    """Whether the last message is the start of the answer."""
    reasoning_format: str = "auto"
    """`none` leaves the reasoning in the content."""
    enable_thinking: bool = True
    reasoning_budget: int = -1
    """Most tokens of reasoning; -1 for no limit."""
    end_reasoning: bool = False
    """Whether reasoning that the template begins is ended at once."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """For the template."""


@dataclass(frozen=True)
class FormattedPrompt:
    """The text that a model is shown, and how its answer is written."""

    text: str
    form: AnswerForm | None = None
    """None if the answer may have any form."""
    stops: tuple[str, ...] = ()
    """Strings that end the answer."""
    reader: Callable[[], AnswerReader] = ContentReader
    """Returns a reader for one answer."""


class Template(Protocol):
    """Formats conversations up to where the assistant's answer begins or continues."""

    @property
    def thinks(self) -> bool:
        """Return whether the model reasons before it answers."""

    @property
    def calls_tools(self) -> bool:
        """Return whether the template has a form of its own for tool calls."""

    @property
    def capabilities(self) -> Mapping[str, bool]:
        """Return what the template can express, by llama.cpp's names."""

    def apply(self, inputs: TemplateInputs) -> FormattedPrompt:
        """Return the prompt; raise ModelError if the template fails."""


def from_text(text: str, *, bos: str = "", eos: str = "", tool_use: str = "") -> Template:
    """Return a template from Jinja source, or from the name of one built into llama.cpp.

    `bos` and `eos` are the texts of these tokens, `tool_use` is the source of another template for
    conversations with tools, if there is one. Raise UsageError if the name is unknown, ModelError
    if the template does not parse.
    """
    if "{" in text or text == FALLBACK:
        return JinjaTemplate(text, bos=bos, eos=eos, tool_use=tool_use)
    builtin_templates.check(text, builtin_names())
    return NamedTemplate(text)


def builtin_names() -> list[str]:
    """Return the names of the templates built into llama.cpp."""
    count = api.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * count)()
    api.llama_chat_builtin_templates(names, count)
    return sorted(name.decode() for name in names if name)


def on_day(source: str, day: str) -> str:
    """Return a Jinja template that prints `day` where it asks for the date; see variables_on.

    A name is returned as it is: templates known by name print no date.
    """
    return DATED.format(day=day) + source if "{" in source else source


def variables_on(day: str) -> dict[str, str]:
    """Return the variables by which a template that is given the date prints `day`."""
    return {"date_string": day, "datetime": day}


class JinjaTemplate:
    """A template in Jinja, by llama.cpp's own interpreter."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "", tool_use: str = "") -> None:
        try:
            self._template = _Pair(source, bos, eos)
            self._tool_use = _Pair(tool_use, bos, eos) if tool_use else self._template
        except libchat.LibraryError as exc:
            raise _template_error(f"does not parse: {exc}") from exc
        self._exhausted: libchat.Exhausted | None = None
        """Why it is not tried any more, if it needs too much for the shortest of conversations."""

    @property
    def capabilities(self) -> Mapping[str, bool]:
        return self._tool_use.shown.capabilities

    @functools.cached_property
    def thinks(self) -> bool:
        # As llama.cpp's common_chat_templates_support_enable_thinking.
        return bool(self._probed(self._template, "thinks", reasoning_format="deepseek"))

    @functools.cached_property
    def calls_tools(self) -> bool:
        asked = {"tools": [PROBE_TOOL], "tool_choice": "required"}
        return bool(self._probed(self._tool_use, "grammar", **asked))

    def _probed(self, template: _Pair, what: str, **asked: Any) -> Any:
        """Return a part of the reply to a question; None if the template fails."""
        if self._exhausted:
            return None
        try:
            return template.read.prompt({"messages": PROBE, **asked}).reply[what]
        except libchat.LibraryError as exc:
            self._exhausted = exc if isinstance(exc, libchat.Exhausted) else None
            return None

    def apply(self, inputs: TemplateInputs) -> FormattedPrompt:
        held = inputs
        if inputs.tools and inputs.tool_choice != "none":
            held = replace(inputs, tools=tool_parameters.written(inputs.tools))
        failures = []
        # The template may need what is no part of the parameters that are held to.
        for one in [held] if held is inputs else [held, inputs]:
            try:
                return self._applied(inputs, one)
            except libchat.Exhausted as exc:
                raise _template_error(f"does not render: {exc}", OverBudget) from exc
            except libchat.LibraryError as exc:
                failures.append(exc)
        raise _template_error(f"does not render: {failures[0]}") from failures[0]

    def _applied(self, inputs: TemplateInputs, held: TemplateInputs) -> FormattedPrompt:
        """Return the prompt for answers to `inputs`, held to the parameters of the tools `held`."""
        template = self._tool_use if inputs.tools else self._template
        prompt = shown = template.shown.prompt(self._request(held))
        if inputs.named_tool or template.read is not template.shown:
            # With a named tool, the model is shown all tools, and held to the one.
            prompt = template.read.prompt(self._request(only_named(held)))
        text = shown.reply["prompt"]
        if held is not inputs:
            text = self._text_with_tools(template.shown, inputs, held, text)
        reply = prompt.reply
        return FormattedPrompt(
            text,
            _form(reply, inputs),
            tuple(reply["stops"]),
            functools.partial(LibraryReader, prompt, one_call=inputs.parallel_tool_calls is False),
        )

    def _text_with_tools(
        self, template: libchat.Template, given: TemplateInputs, held: TemplateInputs, text: str
    ) -> str:
        """Return the `text` for the tools that calls are `held` to, with the tools as `given`.

        With these there may be no grammar, so that they are rendered as if none could be called. If
        that makes a difference to the text, or the template cannot do it, it stays as it is.
        """
        try:
            free, found = (
                str(template.prompt({**self._request(one), "tool_choice": "none"}).reply["prompt"])
                for one in (held, given)
            )
        except libchat.LibraryError:
            return text
        return found if free == text else text

    def _request(self, inputs: TemplateInputs) -> dict[str, Any]:
        parallel = inputs.parallel_tool_calls
        if parallel is None:
            parallel = self.capabilities["supports_parallel_tool_calls"]
        request: dict[str, Any] = {
            "messages": [*inputs.messages],
            "tools": [*inputs.tools],
            "tool_choice": inputs.tool_choice,
            "parallel_tool_calls": parallel,
            "add_generation_prompt": inputs.add_generation_prompt,
            "continue_final_message": inputs.continue_final_message,
            "reasoning_format": inputs.reasoning_format,
            "enable_thinking": self.thinks and inputs.enable_thinking and not _must_call(inputs),
            "variables": {**DEFAULT_VARIABLES, **inputs.variables},
            "end_reasoning": bool(inputs.grammar) or inputs.end_reasoning or _must_call(inputs),
        }
        if inputs.json_schema is not None:
            request["json_schema"] = inputs.json_schema
        if self._exhausted:
            raise self._exhausted
        return request


class _Pair:
    """A template as it is shown to the model, and as its answers are read.

    An answer has no end-of-text token. Where a template writes that after every message, llama.cpp
    would take it for a part of the form of calls.
    """

    def __init__(self, source: str, bos: str, eos: str) -> None:
        self.shown = self.read = libchat.Template(source, bos=bos, eos=eos)
        if "eos_token" in source and eos:
            self.read = libchat.Template(source)


class NamedTemplate:
    """A template built into llama.cpp, known by its name."""

    thinks = False
    calls_tools = False
    capabilities: Mapping[str, bool] = {}

    def __init__(self, name: str) -> None:
        self.name = name.encode()

    def apply(self, inputs: TemplateInputs) -> FormattedPrompt:
        """Return the prompt; tools, variables and whatever else there is are ignored."""
        messages = [
            {"role": message["role"], "content": _plain_content(message)}
            for message in inputs.messages
        ]
        last = ""
        if inputs.continue_final_message and messages:
            last = messages.pop()["content"]
        add = inputs.add_generation_prompt or bool(inputs.continue_final_message)
        text = self._render(messages, add_generation_prompt=add) + last
        form = AnswerForm(inputs.grammar) if inputs.grammar else None
        return FormattedPrompt(text, form)

    def _render(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool) -> str:
        if any("\0" in message["content"] for message in messages):
            # A C string ends at NUL: the rest would be lost.
            raise ModelError(
                "there is a NUL character in the conversation, which the chat template "
                f"'{self.name.decode()}' cannot take",
                hint="leave it out",
            )
        chat = (api.llama_chat_message * len(messages))()
        for slot, message in zip(chat, messages, strict=True):
            slot.role = message["role"].encode()
            slot.content = message["content"].encode("utf-8", "surrogateescape")
        room = 256 + 2 * sum(len(m["content"].encode("utf-8", "replace")) for m in messages)
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = api.llama_chat_apply_template(
                self.name, chat, len(messages), add_generation_prompt, buffer, room
            )
            if count < 0:
                raise ModelError(
                    f"the engine cannot apply the chat template '{self.name.decode()}'",
                    hint="choose another with --chat-template",
                )
            if count <= room:
                return buffer.raw[:count].decode("utf-8", "replace")
            room = count


def _must_call(inputs: TemplateInputs) -> bool:
    return bool(inputs.tools) and inputs.tool_choice == "required"


def only_named(inputs: TemplateInputs) -> TemplateInputs:
    """Return the inputs with no tool but the named one, if one is named."""
    if not inputs.named_tool:
        return inputs
    tools = [tool for tool in inputs.tools if tool["function"]["name"] == inputs.named_tool]
    return replace(inputs, tools=tools)


def text_of(content: Any) -> str:
    """Return the text of a message's content: a text, parts of one, or None.

    Texts are put together by line breaks, but for those beside a picture or sound, as llama.cpp's
    chat library does it.
    """
    if not isinstance(content, list):
        return content or ""
    text, beside = "", True
    for part in content:
        is_text = part["type"] == "text"
        if is_text and not beside and text:
            text += "\n"
        text += part.get("text", "")
        beside = not is_text
    return text


def _plain_content(message: Message) -> str:
    return text_of(message.get("content"))


def _form(reply: Mapping[str, Any], inputs: TemplateInputs) -> AnswerForm | None:
    """Return the form of answers to a prompt, None if there is nothing to hold them to."""
    grammar, of_template = (inputs.grammar, False) if inputs.grammar else (reply["grammar"], True)
    if of_template and _must_call(inputs):
        start = reply["thinking_start"]
        reasons = bool(start) and start in reply["generation_prompt"]
        grammar = required_call.at_once(grammar, reasons=reasons)
        grammar = required_call.with_enums(grammar, inputs.tools)
    form = AnswerForm(
        grammar=grammar,
        lazy=of_template and reply["grammar_lazy"],
        triggers=tuple(Trigger(one["type"], one["value"]) for one in reply["triggers"]),
        prompt_end=reply["generation_prompt"],
        covers_prompt_end=of_template,
        shown_tokens=tuple(reply["preserved_tokens"]),
        reasoning_start=reply["thinking_start"],
        reasoning_ends=tuple(reply["thinking_ends"]),
        reasoning_budget=inputs.reasoning_budget,
    )
    limited = form.reasoning_start and form.reasoning_budget >= 0
    return form if form.grammar or form.shown_tokens or limited else None


def _template_error(detail: str, kind: type[ModelError] = ModelError) -> ModelError:
    return kind(
        f"the chat template {detail}",
        hint="give a working one with --chat-template FILE, or a name such as chatml",
    )
