"""Escapes in what is typed on a command line, where the shell leaves them as they are."""

from __future__ import annotations

import re

ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"'": b"'", b'"': b'"', b"\\": b"\\"}


def unescaped(text: str) -> str:
    r"""Return `text` with escapes read as llama.cpp's -e does: \n \r \t \' \" \\ and \xHH.

    Of a character above U+007F, all bytes must be given.
    """

    def read(match: re.Match[bytes]) -> bytes:
        word = match[1]
        return bytes.fromhex(word[1:].decode()) if len(word) == 3 else ESCAPES.get(word, match[0])

    data = text.encode("utf-8", "surrogateescape")
    return ESCAPE.sub(read, data).decode("utf-8", "surrogateescape")
