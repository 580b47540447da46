"""Documents of a folder: read, and cut into pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from documents import docx, epub, paragraph

from fuzz.target import Run, Target
from runtime.documents.chunking import Chunking
from runtime.documents.cutting import cut
from runtime.documents.reading import read_bytes
from runtime.errors import DocumentError

TEXTS = (".txt", ".md", ".html", ".csv", ".jsonl")
CHUNKING = Chunking(60, 15, 20)


def read_as(*suffixes: str) -> Run:
    """Return a function that reads a file as one of each kind."""

    def run(data: bytes) -> None:
        for suffix in suffixes:
            try:
                document = read_bytes(data, f"a{suffix}")
            except DocumentError:
                continue
            for piece in cut(document, CHUNKING):
                assert len(piece.text) <= CHUNKING.max_chars
                assert piece.text.endswith(document.text[piece.begin : piece.end])
                piece.text.encode()

    return run


def texts() -> Sequence[bytes]:
    return [
        "---\ntitle: Rain\ndate: 2024-05-03\ntags:\n - a\n---\n# Kyoto\n\nIt rained. 「雨だ。」と"
        "言った。\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n  more\n- two\n\n"
        "```\ncode\n```\n".encode(),
        "<html><head><title>A</title><meta name=date content=2024-05-03></head><body><nav>n</nav>"
        "<h1>B &amp; C</h1><p>Text.<br>More<ul><li>a<ol><li>b</ol></ul><table><tr><th>x<th>y<tr>"
        "<td>1<td>2</table><pre> code</pre><script>no</script><!-- c -->雨</html>".encode(),
        b'name,date\n"Anna, B.",2024-05-03\nBob,\n',
        b'{"title": "A", "date": "2024-05-03", "text": "It rained."}\n{"a": [1, {"b": "c"}]}\n',
        "今日は雨だ。駅まで歩いた。".encode("cp932"),
        "今日は雨だ。駅まで歩いた。".encode("euc_jp"),
        "今日は雨だ。駅まで歩いた。".encode("iso2022_jp"),
        "Die Größe. Am 3. Mai z. B. war es so.".encode("utf-16"),
    ]  # fmt: skip


def mails() -> Sequence[bytes]:
    return [
        b"From: =?utf-8?b?5bGx55Sw?= <a@example.org>\nDate: Fri, 3 May 2024 23:30:00 +0900\n"
        b"Subject: =?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n'
        b'Content-Type: multipart/alternative; boundary="y"\n\n--y\n'
        b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        b"Hello =E9=9B=A8.\n--y\nContent-Type: text/html; charset=shift_jis\n"
        b"Content-Transfer-Encoding: base64\n\nPHA+bm8=\n--y--\n--x\n"
        b'Content-Type: application/pdf; name="a.pdf"\n'
        b"Content-Disposition: attachment; filename*=utf-8''%E9%9B%A8.pdf\n\nJVBERi0=\n--x--\n"
    ]


def words() -> Sequence[bytes]:
    body = paragraph("Trips", "H1") + paragraph("one", "ListBullet")
    cell = f"<w:tc>{paragraph('a')}</w:tc>"
    table = f"<w:tbl><w:tr>{cell}{cell}</w:tr><w:tr>{cell}{cell}</w:tr></w:tbl>"
    return [docx(body + table, title="T", date="2024-05-03T10:00:00Z")]


def books() -> Sequence[bytes]:
    return [epub({"a.xhtml": "<h1>One</h1><p>Text.", "b.xhtml": "<p>雨"}, date="2024-05-03")]


TARGETS: Mapping[str, Target] = {
    "text_document": Target(read_as(*TEXTS), texts),
    "mail": Target(read_as(".eml"), mails),
    "word_document": Target(read_as(".docx"), words),
    "book": Target(read_as(".epub"), books),
}
