"""Turn a conversation into the text that the model was trained on."""

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
"""A message has a `role` (system, user or assistant) and a `content`; with tools, more."""


class Template(Protocol):
    """Renders messages, ending where the assistant's answer begins."""

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return the prompt; raise ModelError where the template refuses.

        `tools` are functions as OpenAI describes them, `variables` what the template may ask for.
        """


def from_text(
    text: str,
    *,
    bos: str = "",
    eos: str = "",
    think: bool = True,
    now: Callable[[], datetime] = datetime.now,
) -> Template:
    """Return the template that `text` is: Jinja source, or a name that the engine knows.

    Without `think` a reasoning model is told not to, if its template has a switch for that.
    `now` is asked by templates that tell the date. Raise UsageError where there is no such name.
    """
    if "{" in text:
        return JinjaTemplate(text, bos=bos, eos=eos, think=think, now=now)
    builtin_templates.check(text, builtin_names())
    return NamedTemplate(text)


def builtin_names() -> list[str]:
    """Return the names of the templates built into the engine."""
    count = api.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * count)()
    api.llama_chat_builtin_templates(names, count)
    return sorted(name.decode() for name in names if name)


class NamedTemplate:
    """A template built into the engine, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return the prompt for `messages`; there is no place for tools and variables."""
        if any("\0" in message["content"] for message in messages):
            # To the engine a text would end there, and the rest of it be lost.
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
    """A template in Jinja, as models carry it; run in Jinja's sandbox."""

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

        # The settings are those of Hugging Face's apply_chat_template, for which they are written.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationTag]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: now().strftime(form)
        self._constants: dict[str, Any] = {"bos_token": bos, "eos_token": eos}
        if not think:
            self._constants.update(dict.fromkeys(reasoning.SWITCHES, False))
        # A template is a stranger's program: it may fail in every way that programs can.
        try:
            self._template = environment.from_string(text)
        except Exception as exc:
            raise _broken(f"does not parse: {exc}") from exc

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return the prompt; a system message the template refuses goes to the first user."""
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
            raise _broken(f"does not render: {exc}") from exc


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent)


def _broken(detail: str) -> ModelError:
    return ModelError(
        f"the chat template {detail}",
        hint="give a working one with --chat-template FILE, or a name such as chatml",
    )
