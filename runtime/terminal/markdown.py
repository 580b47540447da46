"""Markdown in a terminal while it is still being written: styled as it goes, nothing drawn twice.

What is on the screen is never taken back, so nothing flickers and scrolling back shows it all. The
price is that only what can be told at once is styled: headings, lists, quotes, bold, italic, and
code in a known language line by line. Code stands there by itself, so that it can be copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime.terminal.highlight import Highlighter, highlighter

BOLD, ITALIC, CODE, DIM, HEAD = "1", "3", "36", "2", "1;4"
RESET = "\x1b[0m"

# What a line may begin with, and what may yet become that.
BLOCK_START = re.compile(r"([ \t]*)(?:(#{1,6}) |([-*+]) |(>) |(```+|~~~+)([^\n`]*)\n)")
PARTIAL_BLOCK_START = re.compile(r"[ \t]*(?:#{0,6}|[-*+]|>|`{0,2}|~{0,2}|(?:```+|~~~+)[^\n`]*)")


class Markdown:
    """Styles text that comes in pieces."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` gets the styled text."""
        self._write = write
        self._lead: str | None = ""
        """The beginning of a line, as long as it is not known what the line is."""
        self._fence = ""
        self._code: Highlighter | None = None
        """Of the block of code, if its language is known."""
        self._styles: list[str] = []
        self._held = ""
        self._last = " "

    def write(self, text: str) -> None:
        """Show some more."""
        out = "".join(map(self._next, text))
        if out:
            self._write(out)

    def close(self) -> None:
        """Show what was held back, and leave no style behind."""
        out = self._lead or ""
        if self._code:
            out = self._code.paint(out)
        self._lead = ""
        out += self._flush()
        if self._styles or self._fence:
            out += RESET
        self._styles.clear()
        self._fence, self._code = "", None
        if out:
            self._write(out)

    def _next(self, char: str) -> str:
        """Return what to show now that `char` has come."""
        if self._lead is None:
            return self._inline(char)
        self._lead += char
        if self._fence:
            return self._code_line()
        if found := BLOCK_START.match(self._lead):
            return self._block(found)
        if PARTIAL_BLOCK_START.fullmatch(self._lead):
            return ""
        lead, self._lead = self._lead, None
        return "".join(map(self._inline, lead))

    def _block(self, found: re.Match[str]) -> str:
        """Begin a line of a kind that shows at its beginning."""
        indent, heading, bullet, quote, fence, language = found.groups()
        assert self._lead is not None
        rest, self._lead = self._lead[found.end() :], None
        if fence:
            self._fence, self._lead = fence, ""
            self._code = highlighter(language)
            style = "" if self._code else f"\x1b[{CODE}m"
            return f"\x1b[{DIM}m{indent}{language.strip() or 'code'}{RESET}\n{style}"
        out = indent
        if heading:
            out += self._begin(HEAD)
        elif bullet:
            out += "• "
        elif quote:
            out += f"\x1b[{DIM}m│{RESET} "
        return out + "".join(map(self._inline, rest))

    def _code_line(self) -> str:
        """Show code as it is, line by line until the fence that ends it."""
        line = self._lead or ""
        bare = line.strip()
        if line.endswith("\n"):
            self._lead = ""
            if bare.startswith(self._fence) and not bare.strip(self._fence[0]):
                self._fence, self._code = "", None
                return RESET
            return self._code.paint(line) if self._code else line
        if self._code:
            return ""
        if self._fence.startswith(bare) or not bare.strip(self._fence[0]):
            return ""  # may yet be the fence
        # The rest of the line needs no further look.
        self._lead = None
        return line

    def _inline(self, char: str) -> str:
        if self._fence:
            if char == "\n":
                self._lead = ""
            return char
        if char == "\n":
            out = self._flush() + (RESET if self._styles else "") + char
            self._styles.clear()
            self._lead, self._last = "", " "
            return out
        if CODE in self._styles:
            return self._end(CODE) if char == "`" else self._plain(char)
        if self._held == "\\":
            self._held = ""
            return self._plain(char if char in "*`_#\\" else f"\\{char}")
        if char == "*" and len(self._held) < 2:
            self._held += char
            return ""
        out = self._stars(char) if self._held else ""
        if char == "\\":
            self._held = char
            return out
        if char == "`":
            return out + self._begin(CODE)
        return out + self._plain(char)

    def _stars(self, following: str) -> str:
        """Return what one or two held stars mean, now that what follows them is known."""
        stars, self._held = self._held, ""
        style = BOLD if len(stars) == 2 else ITALIC
        if style in self._styles and not self._last.isspace():
            return self._end(style)
        opens = not following.isspace() and not (self._last.isalnum() and following.isalnum())
        if style not in self._styles and opens:
            return self._begin(style)
        return self._plain(stars)

    def _flush(self) -> str:
        """Return what is held at the end of a line."""
        return self._stars(" ") if self._held.startswith("*") else self._plain(self._held)

    def _plain(self, text: str) -> str:
        self._held = ""
        if text:
            self._last = text[-1]
        return text

    def _begin(self, style: str) -> str:
        self._styles.append(style)
        return f"\x1b[{style}m"

    def _end(self, style: str) -> str:
        self._styles.remove(style)
        self._last = "x"  # the end of a word, whatever it was
        return RESET + "".join(f"\x1b[{left}m" for left in self._styles)
