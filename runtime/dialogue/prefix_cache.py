"""Prewarmed prefix: KV-cache state of the tokens that every conversation begins with.

It is computed while bundling, and loaded at start.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

from runtime.chat_format.chat_template import OTHER_DAYS, Message, Template, variables_on
from runtime.chat_format.prompt import Tokenizer, build_prompt, messages_of
from runtime.container import prefix_state
from runtime.container.bundle_file import Bundle
from runtime.container.prefix_state import PrefixState
from runtime.dialogue.answerer import inputs_of
from runtime.errors import AppError, ModelError, UsageError
from runtime.host import resources
from runtime.inference.kv_cache.slots import common_prefix_length
from runtime.inference.scheduler import Scheduler
from runtime.options.registry import Options
from runtime.units import gigabytes
from runtime.weights import decompress

SAMPLE_QUESTIONS = ("Hello", "1", "\n", " x", "你好", "<", '"')
"""Questions so different that only the template and system prompt are common to their tokens."""
MIN_TOKENS = 2
"""Shortest prefix worth storing; nearly every prompt begins with a BOS token."""


def shared_tokens(
    templates: Sequence[Template], tokenizer: Tokenizer, options: Options
) -> list[int]:
    """Return the token prefix of all conversations, for any question and any date.

    `templates` are the chat template today and on OTHER_DAYS, since some print the date first.
    """
    first: list[int] | None = None
    shared = 0
    for template, variables in zip(templates, ({}, *map(variables_on, OTHER_DAYS)), strict=True):
        for words in SAMPLE_QUESTIONS:
            inputs = inputs_of(first_question(options.system, words), options)
            inputs = dataclasses.replace(inputs, variables=variables)
            tokens = list(build_prompt(template, tokenizer, inputs).tokens)
            shared = common_prefix_length(first[:shared], tokens) if first else len(tokens)
            first = first or tokens
    return (first or [])[:shared]


def first_question(system: str, question: str) -> list[Message]:
    """Return the messages of a conversation that consists of one question."""
    return messages_of(system, [{"role": "user", "content": question}])


def compute(
    engine: Scheduler,
    key: Mapping[str, str],
    tokens: Sequence[int],
    out: BinaryIO,
    progress: Callable[[int, int], None],
) -> None:
    """Write a header and the state of `tokens` to `out`; raise AppError if that fails.

    The state's format is that of llama_state_seq_get_data. `progress` is called with the tokens
    done and the total.
    """
    tokens = list(tokens)
    if len(tokens) < MIN_TOKENS:
        raise UsageError(
            "there is nothing to compute beforehand: conversations have no beginning in common",
            hint="bake in a system prompt with --system, or leave out --prewarm",
        )
    if len(tokens) >= engine.context_size:
        raise UsageError(
            f"conversations begin with {len(tokens)} tokens, the context has room for "
            f"{engine.context_size - 1}",
            hint="shorten the system prompt, or bake in more context: --set ctx_size=N",
        )
    step = engine.options.batch_size
    for done in range(step, len(tokens), step):
        engine.compute(tokens[:done])
        progress(done, len(tokens))
    state = engine.state_of(tokens)
    progress(len(tokens), len(tokens))
    try:
        engine.load_state(state, tokens)  # some models can save states but not load them
    except ModelError as exc:
        raise ModelError(
            "the engine cannot keep the state of this model", hint="leave out --prewarm"
        ) from exc
    out.write(prefix_state.head(key, tokens))
    out.write(state)


def mismatch(found: PrefixState, key: Mapping[str, str], context: int) -> str:
    """Return why a stored prefix does not fit `key` and a context (tokens); empty if it does."""
    if why := prefix_state.difference(found.key, key):
        return why
    count = len(found.tokens)
    if count >= context:
        return f"it has {count} tokens, more than the context of {context} takes"
    return ""


def load(
    bundle: Bundle,
    engine: Scheduler,
    key: Mapping[str, str],
    tokens: Sequence[int],
    *,
    threads: int,
) -> int:
    """Load the state in `bundle` for a conversation that begins with `tokens`.

    Return how many of the tokens it covers; raise AppError with the reason if it cannot be used.
    """
    section = prefix_state.section_of(bundle)
    if section is None:
        raise AppError("there is none")
    found = prefix_state.read(decompress.original_chunks(bundle, section), section.name)
    if why := mismatch(found, key, engine.context_size):
        raise AppError(why)
    count = len(found.tokens)
    if found.tokens != list(tokens[:count]):
        raise AppError("conversations begin another way now")
    room = resources.available_memory()
    if room is not None and section.size > room:
        raise AppError(f"it takes {gigabytes(section.size)} of memory, {gigabytes(room)} are free")
    fd = decompress.to_fd(bundle, section, threads=threads)
    try:
        # A copy-on-write mapping: the memory file is sealed, but ctypes needs a writable buffer.
        whole = mmap.mmap(fd, section.size, access=mmap.ACCESS_COPY)
    finally:
        os.close(fd)
    engine.load_state(memoryview(whole)[found.offset :], found.tokens)
    return count
