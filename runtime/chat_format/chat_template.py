"""Chat templates: messages to prompt text, by Jinja or by a template built into llama.cpp."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from runtime.chat_format import reasoning
from runtime.errors import ModelError
from runtime.model.llama_api import api
from runtime.options import builtin_templates

FALLBACK = "chatml"

Message = Mapping[str, Any]
"""A `role` (system, user or assistant) and a `content`; with tools, more keys."""


class Template(Protocol):
    """Renders messages up to where the assistant's answer begins."""

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return the prompt text; raise ModelError if the template fails.

        `tools` are functions in OpenAI's format, `variables` are passed to the template.
        """


def from_text(
    text: str,
    *,
    bos: str = "",
    eos: str = "",
    think: bool = True,
    now: Callable[[], datetime] = datetime.now,
) -> Template:
    """Return a template from Jinja source, or from the name of one built into llama.cpp.

    Without `think`, the template's variable that disables reasoning is set, if there is one. `now`
    is the clock for templates that print the date. Raise UsageError if the name is unknown.
    """
    if "{" in text:
        return JinjaTemplate(text, bos=bos, eos=eos, think=think, now=now)
    builtin_templates.check(text, builtin_names())
    return NamedTemplate(text)


def builtin_names() -> list[str]:
    """Return the names of the templates built into llama.cpp."""
    count = api.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * count)()
    api.llama_chat_builtin_templates(names, count)
    return sorted(name.decode() for name in names if name)


class NamedTemplate:
    """A template built into llama.cpp."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return the prompt text for `messages`; `tools` and `variables` are ignored."""
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
                self.name, chat, len(messages), True, buffer, room
            )
            if count < 0:
                raise ModelError(
                    f"the engine cannot apply the chat template '{self.name.decode()}'",
                    hint="choose another with --chat-template",
                )
            if count <= room:
                return buffer.raw[:count].decode("utf-8", "replace")
            room = count


class JinjaTemplate:
    """A Jinja template, rendered in Jinja's sandbox."""

    def __init__(
        self,
        text: str,
        *,
        bos: str = "",
        eos: str = "",
        think: bool = True,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        from runtime.chat_format.generation_tag import GenerationTag

        # Same settings as Hugging Face's apply_chat_template, for which templates are written.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationTag]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda form: now().strftime(form)
        self._constants: dict[str, Any] = {"bos_token": bos, "eos_token": eos}
        if not think:
            self._constants.update(dict.fromkeys(reasoning.SWITCHES, False))
        # A template is an untrusted program: it can raise anything.
        try:
            self._template = environment.from_string(text)
        except Exception as exc:
            raise _template_error(f"does not parse: {exc}") from exc

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return the prompt text.

        If the template rejects a system message, it is merged into the first user message.
        """
        given = {**self._constants, **variables, "tools": [*tools] or None}
        try:
            return self._render(messages, given)
        except ModelError:
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise
            system, first, *rest = messages
            merged = {"role": "user", "content": f"{system['content']}\n\n{first['content']}"}
            return self._render([merged, *rest], given)

    def _render(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> str:
        try:
            return self._template.render(
                messages=[dict(message) for message in messages],
                **{"add_generation_prompt": True, **variables},
            )
        except Exception as exc:
            raise _template_error(f"does not render: {exc}") from exc


def _raise_exception(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent)


def _template_error(detail: str) -> ModelError:
    return ModelError(
        f"the chat template {detail}",
        hint="give a working one with --chat-template FILE, or a name such as chatml",
    )
