"""A server whose model says what it is told to: a text for each of several requests."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from families import SOURCES, TOOLS, template_of
from msgspec import convert
from parrot import END, POSITIONS, Parrot
from program import Program
from servers import Served, serve

from runtime.chat_format import generic_tools
from runtime.chat_format.prompt import format_prompt
from runtime.options.registry import Options
from runtime.server.protocols.openai_types import ChatRequest
from runtime.server.protocols.template_inputs import template_inputs
from runtime.server.service.media_input import MediaInput


@dataclass
class Flock:
    """Requests to a family's model, and what it says to each; they differ in length."""

    name: str
    texts: dict[int, str] = field(default_factory=dict)
    """What is said, by the tokens of the prompt."""

    def __post_init__(self) -> None:
        self.template = template_of(self.name, bos=END, eos=END)
        prompt = self._prompt({"messages": [{"role": "user", "content": "Hi"}], "tools": TOOLS})
        self.parrot = Parrot(prompt.form.shown_tokens if prompt.form else ())
        ends = prompt.form.reasoning_ends if prompt.form else ()
        self.reasoning_end = ends[0].strip() if ends else "\0"
        """What ends the reasoning; in no text if the model does not reason."""
        self._free = 1

    def add(self, text: str, **fields: Any) -> dict[str, Any]:
        """Return a request that is answered by `text`, with such fields."""
        size = self._size(self._request(0, fields))
        padding = max(0, self._free - size)
        request = self._request(padding, fields)
        size += padding
        assert self._size(request) == size, "the template does not show what was asked as it is"
        self.texts[size] = text
        self._free = size + len(self.parrot.tokens(text)) + 1
        return request

    def is_generic(self, **fields: Any) -> bool:
        """Return whether calls are asked for in the generic form, not in the model's own."""
        reader = self._prompt(self._request(0, fields)).reader
        return isinstance(reader, functools.partial) and reader.func is generic_tools._Reader

    @contextmanager
    def served(self, program: Program, path: Path, *flags: str) -> Iterator[Served]:
        """Give a server with this model, which is written to `path`."""
        self.parrot.write(path, self.texts, self.template_source)
        flags = ("-m", str(path), "-c", str(POSITIONS), "-np", "1", "-t", "1", *flags)
        with serve(program, *flags, "--temp", "0") as running:
            yield running

    @property
    def template_source(self) -> str:
        return SOURCES[self.name].read_text(encoding="utf-8")

    def _request(self, padding: int, fields: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"messages": [{"role": "user", "content": "Hi" + "." * padding}], "tools": TOOLS}
        return {**asked, **fields}

    def _prompt(self, request: Mapping[str, Any]) -> Any:
        read = convert(request, ChatRequest)
        inputs = template_inputs(
            read, Options(), MediaInput(None, None), grammar=read.grammar or ""
        )
        return format_prompt(self.template, inputs)

    def _size(self, request: Mapping[str, Any]) -> int:
        return len(self.parrot.tokens(self._prompt(request).text))
