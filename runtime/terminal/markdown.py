"""Streaming Markdown for a terminal: styles text while it arrives, without redrawing.

Nothing already displayed is changed, so there is no flicker and the scrollback is complete. In
return, only what can be recognised at once is styled: headings, lists, quotes, bold, italic, and
code blocks in a known language, line by line. Code is not decorated, so that it can be copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runtime.terminal.highlight import Highlighter, highlighter

BOLD, ITALIC, CODE, DIM, HEAD = "1", "3", "36", "2", "1;4"
RESET = "\x1b[0m"

# Block markers at the start of a line, and the incomplete ones, which may still become one.
BLOCK_START = re.compile(r"([ \t]*)(?:(#{1,6}) |([-*+]) |(>) |(```+|~~~+)([^\n`]*)\n)")
PARTIAL_BLOCK_START = re.compile(r"[ \t]*(?:#{0,6}|[-*+]|>|`{0,2}|~{0,2}|(?:```+|~~~+)[^\n`]*)")


class Markdown:
    """Styles Markdown that arrives in pieces."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` is called with the styled text."""
        self._write = write
        self._lead: str | None = ""
        """The start of a line whose kind is not known yet; None after that."""
        self._fence = ""
        """The fence that opened the current code block; empty outside."""
        self._code: Highlighter | None = None
        """The highlighter of the code block, if its language is known."""
        self._styles: list[str] = []
        self._held = ""
        """Stars or a backslash, whose meaning depends on the next character."""
        self._last = " "

    def write(self, text: str) -> None:
        """Display a piece of text."""
        out = "".join(map(self._next, text))
        if out:
            self._write(out)

    def close(self) -> None:
        """Display the text held back, and reset the style."""
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
        """Return the output for the next character."""
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
        """Return the output for the block marker at the start of a line."""
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
        """Return the output for a line in a code block, possibly its closing fence."""
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
            return ""  # may still become the fence
        # Not the fence: pass the rest of the line through.
        self._lead = None
        return line

    def _inline(self, char: str) -> str:
        """Return the output for a character inside a line."""
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
        """Return the output for one or two stars held back, given the character after them."""
        stars, self._held = self._held, ""
        style = BOLD if len(stars) == 2 else ITALIC
        if style in self._styles and not self._last.isspace():
            return self._end(style)
        opens = not following.isspace() and not (self._last.isalnum() and following.isalnum())
        if style not in self._styles and opens:
            return self._begin(style)
        return self._plain(stars)

    def _flush(self) -> str:
        """Return the output for what is held back at the end of a line."""
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
        self._last = "x"  # counts as the end of a word
        return RESET + "".join(f"\x1b[{left}m" for left in self._styles)
