"""The options of documents: which to answer from, and how."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class DocumentOptions:
    """Which documents answers are looked for in, and how much of them the model is given."""

    docs: str = option(
        "",
        "--docs",
        baked=False,
        metavar="FOLDER",
        help="answer from the documents in a folder, which is indexed in memory; --cache keeps "
        "the index",
    )
    chunk: str = option(
        "",
        "--chunk",
        baked=False,
        metavar="max=N,min=N,overlap=N",
        help="sizes of the pieces that documents are cut into, in characters (default: "
        "max=400,min=40,overlap=60)",
    )
    passages: int = option(
        5,
        "--passages",
        low=0,
        high=50,
        metavar="N",
        help="passages of the documents that the model is given with a question, 0 for none",
    )
