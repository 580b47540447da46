"""Text, Markdown, HTML, tables, records and mail: what is read of each, and what is known of it."""

from __future__ import annotations

import json

import pytest

from runtime.documents.document import Block, Document
from runtime.documents.formats.html_page import read_html
from runtime.documents.formats.mail import read_mail
from runtime.documents.formats.markdown import read_markdown
from runtime.documents.formats.plain_text import read_text
from runtime.documents.formats.records import read_csv, read_jsonl
from runtime.errors import DocumentError


def parts(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in document.blocks]


def markdown(text: str, path: str = "a.md") -> Document:
    return read_markdown(text.encode(), path)


def page(text: str) -> Document:
    return read_html(text.encode(), "a.html")


def mail(*lines: str) -> Document:
    return read_mail("\r\n".join(lines).encode(), "a.eml")


# Text


def test_paragraphs_stand_between_blank_lines() -> None:
    document = read_text(b"One.\r\nTwo.\r\n\r\n\r\nThree.\r\n", "notes/2024-05-03.txt")

    assert ("text", "2024-05-03", "2024-05-03") == (document.kind, document.title, document.date)
    assert [("paragraph", "One.\nTwo."), ("paragraph", "Three.")] == parts(document)
    assert "One.\nTwo.\n\nThree." == document.text
    assert (0, 11) == document.begins


def test_lines_that_were_wrapped_are_one_and_verses_are_not() -> None:
    wrapped = (
        "It was the best of times, it was the worst of times, it was the\n"
        "age of wisdom, it was the age of foolishness, it was the epoch\n"
        "of belief."
    )
    assert [("paragraph", wrapped.replace("\n", " "))] == parts(read_text(wrapped.encode(), "a"))
    by_hand = (
        "Read the last 64 KiB (the whole file if it is shorter) and take the last of\n"
        "them. If there is none, the file is not in this format. It is not\n"
        "in this format either if none of the bytes from there is zero."
    )
    assert [("paragraph", by_hand.replace("\n", " "))] == parts(read_text(by_hand.encode(), "a"))
    for verses in (
        "Shall I compare thee to a summer's day?\nThou art more lovely\nand more temperate:",
        "古池や\n蛙飛び込む\n水の音",
        "- milk\n- bread\n- a very long item that is longer than all of the other ones here",
    ):
        assert [("paragraph", verses)] == parts(read_text(verses.encode(), "a"))


def test_wrapped_japanese_is_joined_without_spaces() -> None:
    text = (
        "今日は朝から雨が降っていたので、駅まで歩いて行くのをやめて、\n"
        "バスに乗ることにした。ところがバスは遅れていて、会社に着いた\n"
        "のは十時過ぎだった。"
    )

    assert [("paragraph", text.replace("\n", ""))] == parts(read_text(text.encode(), "a"))


def test_form_feeds_are_pages() -> None:
    document = read_text(b"One\n\fTwo\n\n\fThree", "a.txt")

    assert [1, 2, 3] == [block.page for block in document.blocks]


def test_control_characters_are_left_out_and_marks_join_their_letters() -> None:
    text = "Cafe\u0301 \x1b[31mred\x07 か\u3099\u200d ok\ufeff 神\ufa19"

    assert "Café [31mred が\u200d ok 神\ufa19" == read_text(text.encode(), "a").text


@pytest.mark.parametrize("data", [b"", b" \n\n", b"\f"])
def test_a_file_without_text_is_no_document(data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"it is empty|it has no text"):
        read_text(data, "a.txt")


# Markdown


def test_front_matter_is_metadata_and_the_rest_of_it_is_text() -> None:
    document = markdown(
        "---\ntitle: 'Rain in Kyoto'\nDate: 2024-05-03 # a Friday\nkind: diary\n"
        "tags:\n  - travel\n  - rain\nplace: [Kyoto, Japan]\nempty:\n---\n\nText.\n"
    )

    assert ("Rain in Kyoto", "2024-05-03", "diary") == (
        document.title,
        document.date,
        document.kind,
    )
    assert [
        ("list", "tags: travel, rain\nplace: Kyoto, Japan"),
        ("paragraph", "Text."),
    ] == parts(document)


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nNo front matter.\n\n---\nMore.",
        "---\nkey: value\nnever ended",
        "Text\n---\na: b\n---",
    ],
)
def test_rules_are_no_front_matter(text: str) -> None:
    document = markdown(text)

    assert ("markdown", "") == (document.kind, document.date)
    assert "".join(text.replace("---", "").split()) == "".join(document.text.split())


def test_all_kinds_of_blocks_are_told_apart() -> None:
    text = """# Title #

First paragraph.

Under
=====
## Second
| a | b |
|---|:-:|
| 1 | 2 |

- one
  goes on
- two

  more of two
1. numbered

```python
# no heading

- no list
```

    indented code

***

> quoted
> lines

<!-- a comment
# hidden -->
Last ![a picture](data:image/png;base64,AAAA) line."""

    assert [
        ("heading", "Title"),
        ("paragraph", "First paragraph."),
        ("heading", "Under"),
        ("heading", "Second"),
        ("table", "| a | b |\n|---|:-:|\n| 1 | 2 |"),
        ("list", "- one goes on\n- two\n  more of two\n1. numbered"),
        ("code", "# no heading\n\n- no list"),
        ("code", "indented code"),
        ("paragraph", "quoted\nlines"),
        ("paragraph", "Last ![a picture] line."),
    ] == parts(markdown(text))
    levels = [block.level for block in markdown(text).blocks if block.kind == "heading"]
    assert [1, 1, 2] == levels


def test_the_first_heading_is_the_title_and_the_name_is_otherwise() -> None:
    assert "Kyoto" == markdown("# Kyoto\n\ntext").title
    assert "trip" == markdown("text\n\n# Kyoto", "2024/trip.md").title


def test_headings_that_are_dates_date_what_is_below_them() -> None:
    document = markdown("# Diary\na\n## 2024-05-03\nb\n### Kyoto\nc\n## Someday\nd")
    dates = {block.text: block.date for block in document.blocks}

    assert {
        "Diary": "", "a": "", "2024-05-03": "2024-05-03", "b": "2024-05-03",
        "Kyoto": "2024-05-03", "c": "2024-05-03", "Someday": "", "d": "",
    } == dates  # fmt: skip


def test_a_heading_that_is_too_long_is_a_paragraph() -> None:
    assert [("paragraph", "x" * 301)] == parts(markdown("# " + "x" * 301))


# HTML


def test_a_page_is_read_without_what_surrounds_it() -> None:
    document = page(
        "<!doctype html><html><head><title>A &amp; B</title><style>p {}</style>"
        '<meta property="article:published_time" content="2024-05-03T08:00:00Z">'
        "<script>var x = '<p>no</p>'</script></head><body><nav><ul><li>Home</ul></nav>"
        "<h2>Head\n line</h2>Loose <b>text</b><p>One.<br>Two.<p>Three&nbsp;3.<div hidden>no</div>"
        "<ul><li>a<li>b<ol><li>c<li><p>d</p><p>e</p></ol></ul>"
        "<pre>\n  x = 1\n\n  <b>y</b> = 2</pre>"
        "<table><caption>Prices</caption><tr><th>dish<th>yen<tr><td>Ramen<td><b>900</b></table>"
        "<table><tr><td><p>laid<p>out<table><tr><td>x<td>y<tr><td>1<td>2</table></table>"
        "日本\n語です</body></html>"
    )

    assert ("A & B", "2024-05-03", "html") == (document.title, document.date, document.kind)
    assert [
        ("heading", "Head line"),
        ("paragraph", "Loose text"),
        ("paragraph", "One.\nTwo."),
        ("paragraph", "Three 3."),
        ("list", "- a\n- b\n  1. c\n  2. d\n    e"),
        ("code", "  x = 1\n\n  y = 2"),
        ("paragraph", "Prices"),
        ("table", "dish | yen\nRamen | 900"),
        ("paragraph", "laid"),
        ("paragraph", "out"),
        ("table", "x | y\n1 | 2"),
        ("paragraph", "日本語です"),
    ] == parts(document)
    assert [1, 0] == [block.head for block in document.blocks if block.kind == "table"]


def test_the_encoding_that_a_page_declares_is_used() -> None:
    text = '<meta charset="koi8-r"><p>Привет, мир'
    assert "Привет, мир" == read_html(text.encode("koi8-r"), "a.html").text

    old = '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><p>①雨'
    assert "①雨" == read_html(old.encode("cp932"), "a.html").text


def test_navigation_that_never_ends_does_not_swallow_the_page() -> None:
    assert [("paragraph", "text")] == parts(page("<nav>menu<main><p>text</main>"))


# Tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_say_what_their_columns_are(delimiter: str) -> None:
    rows = [["name", "date", "note"], ["Anna", "2024-05-03", "likes\nrain"], ["Bob", "", "x, y"]]
    quoted = "\n".join(delimiter.join(f'"{value}"' for value in row) for row in rows)
    document = read_csv(quoted.encode(), "people.csv")

    assert ("people", "table") == (document.title, document.kind)
    assert [
        Block("table", "name: Anna\ndate: 2024-05-03\nnote: likes rain", head=1, date="2024-05-03"),
        Block("table", "name: Bob\nnote: x, y", head=1),
    ] == list(document.blocks)


def test_a_table_without_names_keeps_its_first_row() -> None:
    document = read_csv(b"1,Anna\n2,Bob,extra\n", "a.csv")

    assert [("table", "1\nAnna"), ("table", "2\nBob\nextra")] == parts(document)


def test_lines_may_end_as_on_old_machines() -> None:
    document = read_csv(b"name;age\rAnna;7\rBob;8\r", "a.csv")

    assert [("table", "name: Anna\nage: 7"), ("table", "name: Bob\nage: 8")] == parts(document)


def test_tabs_are_known_by_the_name() -> None:
    assert [("table", "a, x: 1\nb: 2")] == parts(read_csv(b"a, x\tb\n1\t2", "a.tsv"))


# Records


def test_records_have_their_own_titles_dates_and_kinds() -> None:
    records = [
        {"title": "Rain", "date": "2024-05-03", "kind": "diary", "text": "It rained.\n\nA lot."},
        {"body": "No title."},
        {
            "name": "Anna",
            "age": 3,
            "tags": ["a", "b"],
            "deep": {"er": "c"},
            "no": None,
            "yes": True,
        },
    ]
    document = read_jsonl("\n".join(map(json.dumps, records)).encode(), "log.jsonl")

    assert ("log", "records", ()) == (document.title, document.kind, document.unread)
    assert [
        Block("heading", "Rain", 1, date="2024-05-03", filed="diary", record=1),
        Block("paragraph", "It rained.", date="2024-05-03", filed="diary", record=1),
        Block("paragraph", "A lot.", date="2024-05-03", filed="diary", record=1),
        Block("paragraph", "No title.", record=2),
        Block("paragraph", "name: Anna\nage: 3\ntags: a\ntags: b\ndeep er: c", record=3),
    ] == list(document.blocks)


def test_lines_that_are_no_records_are_listed() -> None:
    document = read_jsonl(b'{"text": "fine"}\n{"text": \n' + b"[" * 100_000 + b"\n", "a.jsonl")

    assert [("paragraph", "fine")] == parts(document)
    (left,) = document.unread
    assert ("a.jsonl#line 2", 2) == (left.path, left.count)
    with pytest.raises(DocumentError, match="none of its lines is JSON"):
        read_jsonl(b"text", "a.jsonl")


def test_half_a_character_of_json_is_replaced() -> None:
    assert "a\ufffdb" == read_jsonl(rb'{"text": "a\ud800b"}', "a.jsonl").text


# Mail


def test_the_plain_text_of_a_mail_is_read_and_what_is_attached_is_listed() -> None:
    document = mail(
        "From: =?utf-8?b?5bGx55Sw?= <yamada@example.org>",
        "To: me@example.org",
        "Date: Fri, 3 May 2024 23:30:00 +0900",
        "Subject: =?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=",
        'Content-Type: multipart/mixed; boundary="x"',
        "",
        "--x",
        'Content-Type: multipart/alternative; boundary="y"',
        "",
        "--y",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        "",
        "Hello =E9=9B=A8.",
        "",
        "> quoted",
        "--y",
        "Content-Type: text/html",
        "",
        "<p>not this",
        "--y--",
        "--x",
        "Content-Type: application/pdf",
        'Content-Disposition: attachment; filename="=?utf-8?q?f=C3=BCr.pdf?="',
        "",
        "JVBERi0=",
        "--x--",
    )

    assert ("こんにちは", "2024-05-03", "mail") == (document.title, document.date, document.kind)
    assert [
        (
            "list",
            "From: 山田 <yamada@example.org>\nTo: me@example.org\n"
            "Date: Fri, 3 May 2024 23:30:00 +0900",
        ),
        ("paragraph", "Hello 雨."),
        ("paragraph", "> quoted"),
    ] == parts(document)
    assert ["a.eml#für.pdf"] == [left.path for left in document.unread]
    assert "attached" in document.unread[0].reason


def test_html_is_read_where_a_mail_has_nothing_else() -> None:
    document = mail(
        "From: a@example.org", "Date: nonsense", "Content-Type: text/html; charset=shift_jis", "",
        "<p>One<p>Two",
    )  # fmt: skip

    assert "" == document.date
    assert ["One", "Two"] == [block.text for block in document.blocks][1:]


def test_a_text_is_no_mail() -> None:
    with pytest.raises(DocumentError, match="it is no mail"):
        mail("Hello", "", "World")


def test_a_mail_of_mails_of_mails_ends() -> None:
    lines = ["From: a@example.org"]
    for level in range(3000):
        lines += [f'Content-Type: multipart/mixed; boundary="b{level}"', "", f"--b{level}"]
    with pytest.raises((DocumentError, RecursionError)):
        mail(*lines, "Content-Type: text/plain", "", "deep")
