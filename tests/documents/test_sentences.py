"""Where sentences end: in Japanese and Chinese, English and German, and where they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.documents.sentences import sentences


def cut(text: str) -> list[str]:
    return [text[begin:end] for begin, end in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "今日は雨だ。|明日は晴れるだろう。",
        "本当ですか？|はい！|そうです。",
        "「雨が降る。傘を持て。」と母が言った。|私は笑った。",
        "「行くのか。」|彼は立ち上がった。",
        "彼女は『「もう遅い。」と彼が言った。』という本を読んだ。|面白かった。",
        "これは（重要である。忘れるな。）本当だ。|次へ。",
        "「閉じない括弧。|次の文。",
        "円周率は３．１４である。|次へ。",
        "これは文である．|次も文である．",
        "えっ！？|本当…なの？|うん。",
        "他是谁？|我不知道。|“你好。”他说。|“好。”|天黑了。",
        "すごい!|次は?|はい。",
        "一行目\n|二行目\n|三行目",
        "ﾊﾝｶｸ｡|ﾂｷﾞ｡",
    ],
)
def test_scripts_without_spaces(text: str) -> None:
    assert [part.strip() for part in text.split("|")] == cut(text.replace("|", ""))


@pytest.mark.parametrize(
    "text",
    [
        "It rained. |We stayed at home.",
        "Dr. Smith met Mr. J. R. Brown at 3.5 p.m. today. |They left.",
        "We use tools, e.g. hammers, i.e. heavy ones. |Then we stop.",
        "See fig. 3 and p. 12 of vol. 2. |It is there.",
        "He said no. |She said yes.",
        "Bring pens, paper, etc. |Then start.",
        "Bring pens, etc. and paper.",
        '"Is it late?" she asked. |"Yes!" |He ran.',
        "“Go. Now.” |Then he left.",
        "(See above. It is there.) |Good.",
        "Wait... what? |Well… |Now.",
        "The U.S. Army came. |It left.",
        "What?! |Really.",
        "Great!😀 |Next.",
        "안녕하세요. |반갑습니다! |네.",
        "Lines that are\nwrapped go on. |Others\n|End.\n|so.",
        "Am 3. Mai 2024 kam er an. |Im Jahr 2024. |Danach ging er.",
        "Das gilt z. B. für Herrn Dr. Müller bzw. Frau Prof. Schmidt. |Das ist so.",
        "Der 2. Weltkrieg endete 1945. |Danach wurde es besser.",
        "„Er kommt nicht. Nie.“ |Das war alles.",
        "Er aß Brot, Käse usw. |Dann schlief er.",
        "1. First do this. |2. Then do that.",
        "Version 2.0.1 is at https://example.org/a.b?c=d. |Get it.",
        "कल बारिश हुई। |आज धूप है।",
        "هل تأتي؟ |نعم.",
    ],
)
def test_scripts_with_spaces(text: str) -> None:
    assert [part.strip() for part in text.split("|")] == cut(text.replace("|", ""))


def test_a_sign_that_combines_stays_with_what_it_combines_with() -> None:
    assert ["雨。\u3099次"] == cut("雨。\u3099次")
    assert ["Yes! \u0301 No."] == cut("Yes! \u0301 No.")
    assert ["Go!\ufe0f", "Now."] == cut("Go!\ufe0f Now.") or ["Go!\ufe0f Now."] == cut(
        "Go!\ufe0f Now."
    )


TEXTS = st.text(
    st.sampled_from("ab 雨が。！？」「（）『』.!?…\n\t“”„\"'3zBDr\u0301\u200d\U0001f468🏽,、")
    | st.characters()
)


@given(TEXTS)
def test_nothing_but_space_is_left_out(text: str) -> None:
    spans = sentences(text)
    places = [0, *(place for span in spans for place in span), len(text)]

    assert places == sorted(places)
    assert all(begin < end for begin, end in spans)
    between = [text[places[at] : places[at + 1]] for at in range(0, len(places), 2)]
    assert "" == "".join(between).strip()
    assert all(text[begin:end] == text[begin:end].strip() for begin, end in spans)


def test_hostile_texts_take_little_time() -> None:
    for sign in (
        "「",
        "「』",
        "」",
        "（" * 3 + "』",
        ".",
        ". ",
        "a.b ",
        "! ",
        "…",
        "Dr. ",
        "\n ",
        " ",
    ):
        text = sign * (50_000 // len(sign))
        assert len(sentences(text)) <= len(text)
