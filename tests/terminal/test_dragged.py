"""Paths in a typed line, as terminals write them when a file is dragged in."""

from __future__ import annotations

import pytest

from runtime.terminal.dragged import files_in, without


@pytest.mark.parametrize(
    ("line", "names", "rest"),
    [
        ("/home/ada/cat.png ", ["/home/ada/cat.png"], ""),
        (r"/home/ada/my\ cat\ \(1\).png ", ["/home/ada/my cat (1).png"], ""),
        ("'/home/ada/my cat.png' ", ["/home/ada/my cat.png"], ""),
        ('"/home/ada/my \\"cat\\".png"', ['/home/ada/my "cat".png'], ""),
        ("/home/ada/my cat.png", ["/home/ada/my cat.png"], ""),
        ("file:///home/ada/my%20cat.png", ["/home/ada/my cat.png"], ""),
        ("file://localhost/home/ada/cat.png", ["/home/ada/cat.png"], ""),
        ("~/cat.JPG what is that?", ["~/cat.JPG"], "what is that?"),
        ("what is /home/ada/cat.png and why?", ["/home/ada/cat.png"], "what is and why?"),
        ("/a.png /b.jpg which is older?", ["/a.png", "/b.jpg"], "which is older?"),
        ("'/a.png' \"/b c.wav\" ./d.flac", ["/a.png", "/b c.wav", "./d.flac"], ""),
        ("It's /a.png", ["/a.png"], "It's"),
        ("what does a.png show?", ["a.png"], None),
        ("look (at a.png).", ["a.png"], None),
    ],
)
def test_files_are_found(line: str, names: list[str], rest: str | None) -> None:
    found = files_in(line)

    assert names == [one.name for one in found]
    if rest is None:
        assert not any(one.dragged for one in found)
    else:
        assert rest == without(line, found)


@pytest.mark.parametrize(
    "line",
    ["", "   ", "what is a png?", "/help", "see /etc/passwd", "3/4.5", "don't", "'", '"', "\\",
     "file://example.org/a.png", "file://[/a.png", ".pngs are nice", "https://a.b/c.html"],
)  # fmt: skip
def test_other_lines_name_none(line: str) -> None:
    assert [] == [*files_in(line)]
