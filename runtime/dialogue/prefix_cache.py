"""Compute the state of how every conversation begins, and take over one computed before."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO

from runtime.container import prefix_state
from runtime.container.bundle_file import Bundle
from runtime.container.prefix_state import PrefixState
from runtime.dialogue.chat_template import Message, Template
from runtime.dialogue.prompt import Tokenizer, messages_of, tokens_of
from runtime.errors import AppError, ModelError, UsageError
from runtime.inference.scheduler import Scheduler
from runtime.inference.slots import common_prefix_length
from runtime.weights import decompress

FIRST_WORDS = ("Hello", "1", "\n", " x", "你好", "<", '"')
"""First questions that leave nothing in common of how questions are cut into tokens."""
OTHER_DAYS = (datetime(1999, 12, 31, 23, 58), datetime(2008, 4, 6, 7, 9))
LEAST = 2
"""Tokens that are worth keeping: nearly every model begins with one of its own."""


def shared_tokens(
    template: Callable[[Callable[[], datetime]], Template], tokenizer: Tokenizer, system: str
) -> list[int]:
    """Return the tokens that all conversations begin with, whatever is asked, and when.

    `template` makes the chat template, given a clock: some put the date before anything else.
    """
    clocks = [datetime.now, *((lambda day=day: day) for day in OTHER_DAYS)]
    first: list[int] | None = None
    shared = 0
    for shaped in map(template, clocks):
        for words in FIRST_WORDS:
            _, tokens = tokens_of(shaped, tokenizer, first_question(system, words))
            shared = common_prefix_length(first[:shared], tokens) if first else len(tokens)
            first = first or tokens
    return (first or [])[:shared]


def first_question(system: str, question: str) -> list[Message]:
    """Return the messages of a conversation's first question."""
    return messages_of(system, [{"role": "user", "content": question}])


def compute(
    engine: Scheduler,
    key: Mapping[str, str],
    tokens: Sequence[int],
    out: BinaryIO,
    progress: Callable[[int, int], None],
) -> None:
    """Write head and state of `tokens` to `out`; raise AppError where the engine cannot."""
    tokens = list(tokens)
    if len(tokens) < LEAST:
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
        engine.load_state(state, tokens)  # some models' states may be taken, but not given back
    except ModelError as exc:
        raise ModelError(
            "the engine cannot keep the state of this model", hint="leave out --prewarm"
        ) from exc
    out.write(prefix_state.head(key, tokens))
    out.write(state)


def mismatch(found: PrefixState, key: Mapping[str, str], context: int) -> str:
    """Return why a computed beginning is of no use for `key` and a context; empty where it is."""
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
    memfd: bool,
) -> int:
    """Take over the state in `bundle` for a conversation that begins with `tokens`.

    Return how many of them it covers; raise AppError that says why it is of no use.
    """
    section = prefix_state.section_of(bundle)
    if section is None:
        raise AppError("there is none")
    found = prefix_state.read(decompress.pieces(bundle, section), section.name)
    if why := mismatch(found, key, engine.context_size):
        raise AppError(why)
    count = len(found.tokens)
    if found.tokens != list(tokens[:count]):
        raise AppError("conversations begin another way now")
    fd = decompress.restore(bundle, section, threads=threads, memfd=memfd)
    try:
        # A private mapping: what is sealed can be read in place, but ctypes wants to write.
        whole = mmap.mmap(fd, section.size, access=mmap.ACCESS_COPY)
    finally:
        os.close(fd)
    engine.load_state(memoryview(whole)[found.offset :], found.tokens)
    return count
