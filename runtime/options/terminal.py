"""The options of a chat on a terminal, which mean nothing to a server."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class TerminalOptions:
    """How a chat looks, and where it is saved."""

    session: str = option(
        "",
        "--session",
        baked=False,
        metavar="FILE",
        help="resume the conversation in FILE, if it exists, and save it there on exit",
    )
    image: tuple[str, ...] = option(
        (),
        "--image",
        baked=False,
        metavar="FILE",
        help="picture (PNG, JPEG, GIF, BMP) that the question is about; repeatable",
    )
    audio: tuple[str, ...] = option(
        (),
        "--audio",
        baked=False,
        metavar="FILE",
        help="sound (WAV, MP3, FLAC) that the question is about; repeatable",
    )
    color: str = option(
        "auto", "--color", "-co", choices=("auto", "on", "off"), help="use colour in the chat"
    )
    markdown: bool = option(
        True, "--markdown", help="format Markdown (bold, lists, code) in the chat if colour is on"
    )
    stats: bool = option(
        False, "--stats", help="print token counts, speed and context use after each answer"
    )
