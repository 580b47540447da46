"""Prompt of a conversation: its text, rendered by the chat template, and its tokens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from runtime.chat_format import answer_or_call, generic_tools, required_call
from runtime.chat_format.answer_reader import AnswerReader, ContentReader
from runtime.chat_format.chat_template import FormattedPrompt, Message, Template, TemplateInputs
from runtime.chat_format.media_parts import with_markers
from runtime.errors import ModelError, OverBudget
from runtime.inference.answer_form import AnswerForm
from runtime.json_schema import schemas

if TYPE_CHECKING:  # most conversations are text alone
    from runtime.media.kinds import Media


class Tokenizer(Protocol):
    """What a prompt needs of a model."""

    @property
    def bos(self) -> str: ...
    @property
    def adds_bos(self) -> bool: ...
    def tokenize(self, text: str, *, beginning: bool) -> list[int]: ...
    @property
    def media_marker(self) -> str: ...
    def tokenize_media(self, text: str, media: Sequence[Media]) -> list[int]: ...


@dataclass(frozen=True)
class Prompt:
    """The text and tokens of a conversation, up to where the answer begins or continues."""

    messages: Sequence[Message]
    text: str = ""
    """As the chat template renders it; empty for a remote server, which does that itself."""
    tokens: Sequence[int] = ()
    """Of `text`."""
    form: AnswerForm | None = None
    """The form that answers must have, None for any."""
    stops: tuple[str, ...] = ()
    """Strings that end an answer, besides those of the options."""
    reader: Callable[[], AnswerReader] = ContentReader
    """Returns a reader for one answer, to be fed with the answer from its start."""


def messages_of(system: str, turns: Sequence[Message]) -> list[Message]:
    """Return the messages of a conversation; an empty system prompt counts as none."""
    return [{"role": "system", "content": system}, *turns] if system else [*turns]


def build_prompt(
    template: Template, tokenizer: Tokenizer, inputs: TemplateInputs, *, answer: str = ""
) -> Prompt:
    """Return the prompt of a conversation, followed by the `answer` so far.

    Raise ModelError if the template fails, MediaError if the model does not take pictures or sounds
    that there are.
    """
    messages, media = with_markers(inputs.messages, lambda: tokenizer.media_marker)
    formatted = format_prompt(template, replace(inputs, messages=messages))
    text, form = formatted.text + answer, formatted.form
    if form and answer:
        form = replace(form, begun=answer)
    return Prompt(
        inputs.messages,
        text,
        _tokens(tokenizer, text, media),
        form,
        formatted.stops,
        formatted.reader,
    )


def format_prompt(template: Template, inputs: TemplateInputs) -> FormattedPrompt:
    """Apply the template; tools that it has no place for are written into the messages.

    So are those that it fails with, as where it reads what a parameter's schema does not say. Raise
    ModelError if the template fails.
    """
    if not inputs.tools or inputs.json_schema is None or inputs.grammar:
        return _formatted(template, inputs)
    plain = replace(inputs, json_schema=None)
    if inputs.tool_choice == "required":
        return _formatted(template, plain)  # there is no answer but the call
    found = _formatted(template, inputs)
    if not answer_or_call.holds(found):
        plain = replace(plain, end_reasoning=True)
        grammar = schemas.prepared(json.dumps(inputs.json_schema)).grammar
        found = _formatted(template, replace(plain, grammar=grammar))
    if inputs.tool_choice == "none":
        return found
    called = _formatted(template, replace(plain, tool_choice="required"), strict=False)
    return answer_or_call.either(found, called, _formatted(template, plain))


def _formatted(
    template: Template, inputs: TemplateInputs, *, strict: bool = True
) -> FormattedPrompt:
    """Apply the template; `strict` holds a required call to its parameters in whatever form."""
    if not generic_tools.concern(inputs):
        return template.apply(inputs)
    if not template.calls_tools:
        return generic_tools.apply(template, inputs)
    try:
        found = _applied(template, inputs)
    except OverBudget:
        raise
    except ModelError as error:
        try:
            return generic_tools.apply(template, inputs)
        except ModelError:
            raise error from None
    if not strict or not inputs.tools or inputs.tool_choice != "required":
        return found
    if found.form and required_call.holds(found.form, inputs.tools):
        return found
    return generic_tools.held(found, inputs)


def _applied(template: Template, inputs: TemplateInputs) -> FormattedPrompt:
    """Apply the template; if it fails, with such ids of calls as Mistral's ask for."""
    try:
        return template.apply(inputs)
    except OverBudget:
        raise
    except ModelError as error:
        try:
            return template.apply(replace(inputs, messages=_with_short_ids(inputs.messages)))
        except ModelError:
            raise error from None


def _with_short_ids(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the messages with ids of calls that are nine letters and digits."""

    def short(identity: str) -> str:
        return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:9]

    found: list[dict[str, Any]] = []
    for message in map(dict, messages):
        if message.get("tool_calls"):
            calls = message["tool_calls"]
            message["tool_calls"] = [{**one, "id": short(one.get("id") or "")} for one in calls]
        if "tool_call_id" in message:
            message["tool_call_id"] = short(message["tool_call_id"] or "")
        found.append(message)
    return found


def _tokens(tokenizer: Tokenizer, text: str, media: Sequence[Media]) -> list[int]:
    if tokenizer.adds_bos and tokenizer.bos:
        # Most templates spell out the beginning token that the tokenizer adds as well.
        text = text.removeprefix(tokenizer.bos)
    if media:
        if (shown := text.count(tokenizer.media_marker)) != len(media):
            raise ModelError(
                f"the chat template shows {shown} of {len(media)} pictures and sounds",
                hint="choose another with --chat-template",
            )
        return tokenizer.tokenize_media(text, media)
    return tokenizer.tokenize(text, beginning=True)
