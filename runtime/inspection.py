"""What the engine itself says about a model, for the bundler's lint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime import llama, session, template
from runtime.cfile import RangeFile
from runtime.errors import AppError
from runtime.llama import api
from runtime.model import open_source, spelling
from runtime.options import Options

EXAMPLE = (
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "How are you?"},
)


def probe_model(path: Path, chat_template: str) -> dict[str, Any]:
    """Load the vocabulary of `path` and render a conversation; return what came of it.

    Keys: `error` (the engine's refusal, empty if none), `template` (own, given or missing),
    `template_error` (why a conversation cannot be rendered with it, empty if it can).
    """
    session.start_engine(Options())
    source = open_source(path)
    parameters = api.llama_model_default_params()
    parameters.vocab_only = True
    with RangeFile(source.fd, source.offset) as file:
        handle = llama.load_model(file.pointer, parameters)
    result: dict[str, Any] = {"error": "", "template": "", "template_error": ""}
    if not handle:
        result["error"] = llama.log.last_error() or "no reason given"
        return result
    own = api.llama_model_chat_template(handle, None)
    text = chat_template or (own.decode("utf-8", "replace") if own else "")
    result["template"] = "given" if chat_template else "own" if own else "missing"
    vocabulary = api.llama_model_get_vocab(handle)
    try:
        renderer = template.make(
            text or template.FALLBACK,
            bos=spelling(vocabulary, api.llama_vocab_bos(vocabulary)),
            eos=spelling(vocabulary, api.llama_vocab_eos(vocabulary)),
        )
        renderer.render(EXAMPLE)
    except AppError as exc:
        result["template_error"] = exc.problem
    return result
