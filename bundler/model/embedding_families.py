"""Families of embedding models: what they were trained to read before a text, and their pooling.

A GGUF's header says how its vectors are pooled, if it was converted with that; what is to be put
before a question and a passage, no header says. The model's card on its publisher's page does:
each row has that page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RETRIEVE = "Given a web search query, retrieve relevant passages that answer the query"
_REPRESENT = "Represent this sentence for searching relevant passages: "
_CHINESE = "为这个句子生成表示以用于检索相关文章："


@dataclass(frozen=True)
class Family:
    """Models that are used in the same way."""

    names: str
    """A regular expression that is found in their names, see `_key`."""
    pooling: str
    query: str
    passage: str


FAMILIES: Sequence[Family] = (
    # https://huggingface.co/intfloat/e5-mistral-7b-instruct
    Family("e5-mistral", "last", f"Instruct: {_RETRIEVE}\nQuery: ", ""),
    # https://huggingface.co/intfloat/multilingual-e5-large-instruct
    Family("e5-.*instruct", "mean", f"Instruct: {_RETRIEVE}\nQuery: ", ""),
    # https://huggingface.co/intfloat/multilingual-e5-small
    Family("(^|[^a-z])e5-(small|base|large)", "mean", "query: ", "passage: "),
    # https://huggingface.co/BAAI/bge-m3
    Family("bge-m3", "cls", "", ""),
    # https://huggingface.co/BAAI/bge-small-zh-v1.5
    Family("bge-.*zh", "cls", _CHINESE, ""),
    # https://huggingface.co/BAAI/bge-small-en-v1.5
    Family("bge-(small|base|large)", "cls", _REPRESENT, ""),
    # https://huggingface.co/mixedbread-ai/mxbai-embed-large-v1
    Family("mxbai-embed", "cls", _REPRESENT, ""),
    # https://huggingface.co/Snowflake/snowflake-arctic-embed-m-v2.0
    Family("arctic-embed.*v2", "cls", "query: ", ""),
    # https://huggingface.co/Snowflake/snowflake-arctic-embed-m
    Family("arctic-embed", "cls", _REPRESENT, ""),
    # https://huggingface.co/nomic-ai/nomic-embed-text-v1.5
    Family("nomic-embed", "mean", "search_query: ", "search_document: "),
    # https://huggingface.co/Qwen/Qwen3-Embedding-0.6B
    Family("qwen3-embedding", "last", f"Instruct: {_RETRIEVE}\nQuery:", ""),
    # https://huggingface.co/Alibaba-NLP/gte-Qwen2-1.5B-instruct
    Family("gte-qwen", "last", f"Instruct: {_RETRIEVE}\nQuery: ", ""),
    # https://huggingface.co/Alibaba-NLP/gte-multilingual-base
    Family("gte-(multilingual|.*v1.5|modernbert)", "cls", "", ""),
    # https://huggingface.co/thenlper/gte-small
    Family("gte-(small|base|large)", "mean", "", ""),
    # https://huggingface.co/google/embeddinggemma-300m
    Family("embedding-?gemma", "mean", "task: search result | query: ", "title: none | text: "),
    # https://huggingface.co/cl-nagoya/ruri-v3-310m
    Family("ruri-v3", "mean", "検索クエリ: ", "検索文書: "),
    # https://huggingface.co/cl-nagoya/ruri-base-v2
    Family("ruri", "mean", "クエリ: ", "文章: "),
    # https://huggingface.co/ibm-granite/granite-embedding-278m-multilingual
    Family("granite-embedding", "cls", "", ""),
    # https://huggingface.co/jinaai/jina-embeddings-v2-base-en
    Family("jina-embeddings-v2", "mean", "", ""),
    # https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
    Family("minilm|mpnet|sentence-transformers|distiluse", "mean", "", ""),
    # https://huggingface.co/sentence-transformers/LaBSE
    Family("labse", "cls", "", ""),
)


def family_of(names: Sequence[str]) -> Family | None:
    """Return the family of a model by its names, the surest first; None if it is not known."""
    for name in filter(None, map(_key, names)):
        for family in FAMILIES:
            if re.search(family.names, name):
                return family
    return None


def _key(name: str) -> str:
    """Return a name as it is compared: "Multilingual E5 Small" is multilingual-e5-small."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())
