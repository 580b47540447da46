"""Model probe: the engine's verdict on a model and its chat template, for the bundler's lint."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime import bounds
from runtime.chat_format import chat_template
from runtime.chat_format.prompt import format_prompt
from runtime.errors import AppError
from runtime.model import engine_build, llama_api
from runtime.model.llama_api import api
from runtime.model.model import spelling
from runtime.model.model_file import open_file
from runtime.options.registry import Options
from runtime.weights.stdio_file import RangeFile

EXAMPLE = (
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "How are you?"},
)


def probe_model(path: Path, template: str) -> Iterator[dict[str, Any]]:
    """Load the vocabulary of `path`, render a sample conversation; yield the result of each.

    The first has `error` (why the engine cannot load it, empty if it can) and `template` (own,
    given or missing), the second `template_error` (why the conversation cannot be rendered, empty
    if it can). A template is an untrusted program: it may crash this process, or be ended by the
    system after bounds.PROBE_SECONDS.
    """
    engine_build.start_engine(Options())
    source = open_file(path)
    parameters = api.llama_model_default_params()
    parameters.vocab_only = True
    with RangeFile(source.fd, source.offset) as file:
        handle, reason = llama_api.load_model(file, parameters)
    if not handle:
        yield {"error": reason or llama_api.NO_REASON, "template": ""}
        return
    own = _template(handle, None)
    yield {"error": "", "template": "given" if template else "own" if own else "missing"}
    vocabulary = api.llama_model_get_vocab(handle)
    _limit_resources()
    try:
        found = chat_template.from_text(
            template or own or chat_template.FALLBACK,
            bos=spelling(vocabulary, api.llama_vocab_bos(vocabulary)),
            eos=spelling(vocabulary, api.llama_vocab_eos(vocabulary)),
            tool_use="" if template else _template(handle, b"tool_use"),
        )
        for tools in ((), (chat_template.PROBE_TOOL,)):
            format_prompt(found, chat_template.TemplateInputs(messages=EXAMPLE, tools=tools))
        yield {"template_error": ""}
    except AppError as exc:
        yield {"template_error": exc.problem}


def _template(handle: Any, name: bytes | None) -> str:
    found = api.llama_model_chat_template(handle, name)
    return found.decode("utf-8", "replace") if found else ""


def _limit_resources() -> None:
    """Bound the time and the memory of what follows."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + bounds.PROBE_SECONDS
    # The first limit can be told from what else ends a program, the second one not: SIGKILL.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    # Of memory that is written to; what is mapped of the model does not count.
    resource.setrlimit(resource.RLIMIT_DATA, (bounds.PROBE_BYTES, bounds.PROBE_BYTES))
