"""Model probe: the engine's verdict on a model and its chat template, for the bundler's lint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.chat_format import chat_template
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


def probe_model(path: Path, template: str) -> dict[str, Any]:
    """Load the vocabulary of `path` and render a sample conversation; return the results.

    Keys: `error` (why the engine cannot load it, empty if it can), `template` (own, given or
    missing), `template_error` (why the conversation cannot be rendered, empty if it can).
    """
    engine_build.start_engine(Options())
    source = open_file(path)
    parameters = api.llama_model_default_params()
    parameters.vocab_only = True
    with RangeFile(source.fd, source.offset) as file:
        handle, reason = llama_api.load_model(file, parameters)
    result: dict[str, Any] = {"error": "", "template": "", "template_error": ""}
    if not handle:
        result["error"] = reason or llama_api.NO_REASON
        return result
    own = api.llama_model_chat_template(handle, None)
    text = template or (own.decode("utf-8", "replace") if own else "")
    result["template"] = "given" if template else "own" if own else "missing"
    vocabulary = api.llama_model_get_vocab(handle)
    try:
        found = chat_template.from_text(
            text or chat_template.FALLBACK,
            bos=spelling(vocabulary, api.llama_vocab_bos(vocabulary)),
            eos=spelling(vocabulary, api.llama_vocab_eos(vocabulary)),
        )
        found.apply(chat_template.TemplateInputs(messages=EXAMPLE))
    except AppError as exc:
        result["template_error"] = exc.problem
    return result
