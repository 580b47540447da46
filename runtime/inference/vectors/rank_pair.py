"""Rank pair: the tokens of a question and a text, as a reranking model reads both at once."""

from __future__ import annotations

import re

from runtime.model.llama_api import api
from runtime.model.model import Model

POOLING_RANK = 4
"""LLAMA_POOLING_TYPE_RANK, which models for reranking declare; they make no vectors."""
PLACES = re.compile(r"\{(?:query|document)\}")
"""Of the two texts, in a model's template for reranking."""


def pair_tokens(model: Model, question: str, text: str, room: int) -> list[int]:
    """Return what the model reads, as llama-server does: in its own template, or one by one.

    Of a text that is too long for `room` tokens, the end is left out; of a question, more than
    half of the room.
    """
    asked = model.tokenize(question, beginning=False, special=False)
    if len(asked) > room // 2:
        asked = asked[: room // 2]
        question = b"".join(map(model.piece, asked)).decode("utf-8", "replace")
    if template := api.llama_model_chat_template(model.handle, b"rerank"):
        return _filled(model, template.decode("utf-8", "replace"), question, text, room)
    vocabulary = model.vocabulary
    end = separator = int(api.llama_vocab_sep(vocabulary))
    if (own_end := int(api.llama_vocab_eos(vocabulary))) >= 0:
        end = own_end
    begins = [int(api.llama_vocab_bos(vocabulary))] * model.adds_bos
    ends = [end] * bool(api.llama_vocab_get_add_eos(vocabulary))
    separators = [separator] * bool(api.llama_vocab_get_add_sep(vocabulary))
    head = [*begins, *asked, *ends, *separators]
    found = model.tokenize(text, beginning=False, special=False)
    return [*head, *found[: max(room - len(head) - len(ends), 0)], *ends]


def _filled(model: Model, template: str, question: str, text: str, room: int) -> list[int]:
    """Return the tokens of a template with both texts in it, the second cut if it must be."""
    while True:
        texts = {"{query}": question, "{document}": text}
        filled = PLACES.sub(lambda place, texts=texts: texts[place[0]], template)  # type: ignore[misc]
        tokens = model.tokenize(filled, beginning=False)
        if len(tokens) <= room or not text:
            return tokens[:room]
        # What is left out is a little more than what is too much.
        text = text[: int(len(text) * room / len(tokens) * 0.95)]
