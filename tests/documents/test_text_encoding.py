"""Encodings are told apart by what the text would say, however short it is."""

from __future__ import annotations

import pytest

from runtime.documents.text_encoding import decoded
from runtime.errors import DocumentError

JAPANESE = """今日は朝から雨が降っていた。
駅まで歩いて十五分かかる。
母が作ってくれた味噌汁はとてもおいしかった。
「明日は休みますか」と部長に聞かれた。
請求書番号１２３の支払期限は６月末です。
電話番号は03-1234-5678です。
Pythonで書いたプログラムを実行する。
薔薇の花が咲いた。
憂鬱な気分で目が覚めた。
レシートは三年間保管してください。
ありがとう
カレー
日本語
東京都
雨
議事録
打合せ
鰯と鯖と鮭
ＡＢＣ商事
平成三十年度決算報告書
旅費精算書
寿司、天ぷら、すき焼き。""".split("\n")
WESTERN = """L'été dernier, nous sommes allés à la mer.
Où est la bibliothèque?
Ça coûte 12 €.
Il a créé une société créée en 1999.
déjà vu
café
Die Straße ist wegen Bauarbeiten gesperrt.
Übermäßig heiß
Wir hören uns nächste Woche „später“.
schöne Grüße
für
Jürgen Müller, Köln
El niño comió una piña mañana.
¿Cuándo llegó el autobús?
Åsa åker till Malmö på lördag.
São Paulo é a maior cidade do Brasil.
Hänellä on pitkä päivä töissä.
“Smart quotes” – and dashes — too.
25 °C ± 2""".split("\n")


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp932", "shift_jis", "euc_jp", "iso2022_jp"],
)
@pytest.mark.parametrize("text", [*JAPANESE, "\n".join(JAPANESE)], ids=range(len(JAPANESE) + 1))
def test_japanese_is_read_in_every_encoding_it_was_written_in(text: str, encoding: str) -> None:
    assert text == decoded(text.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("text", [*WESTERN, "\n".join(WESTERN)], ids=range(len(WESTERN) + 1))
def test_western_text_is_read_in_every_encoding_it_was_written_in(text: str, encoding: str) -> None:
    assert text == decoded(text.encode(encoding))


@pytest.mark.parametrize("text", ["①準備 ②実行 ③確認", "髙橋さんと﨑山さんに会った。"])
def test_letters_that_windows_added_to_shift_jis_are_read(text: str) -> None:
    assert text == decoded(text.encode("cp932"))


def test_latin_1_is_read_as_its_larger_relative() -> None:
    assert "Größe" == decoded("Größe".encode("latin-1"))
    assert "“Größe”" == decoded("“Größe”".encode("cp1252"), "iso-8859-1")


def test_a_declared_encoding_is_believed_unless_the_text_is_utf_8() -> None:
    assert "Привет, мир" == decoded("Привет, мир".encode("koi8-r"), "koi8-r")
    assert "Привет" == decoded("Привет".encode(), "koi8-r")
    assert "für" == decoded("für".encode("cp1252"), "no-such-encoding")
    assert "für" == decoded("für".encode("cp1252"), "base64")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b" \n\t ", "it is empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "it is no text"),
        (bytes(range(1, 32)) * 8, "it is no text"),
        ("Съешь ещё этих мягких французских булок".encode("cp1251"), "it is neither UTF-8"),
        ("안녕하세요, 오늘은 날씨가 참 좋습니다".encode("euc-kr"), "it is neither UTF-8"),
        ("我们今天去北京看长城，天气很好。".encode("gb18030"), "it is neither UTF-8"),
        (b"\xff\xfeA\0B", "it claims to be UTF-16-LE, but its byte 2 is not"),
        (b"\xef\xbb\xbfabc\xff", "it claims to be UTF-8, but its byte 3 is not"),
    ],
)
def test_what_is_in_no_known_encoding_is_refused_and_not_guessed(data: bytes, says: str) -> None:
    with pytest.raises(DocumentError) as caught:
        decoded(data)

    assert says in caught.value.problem
    assert caught.value.hint
