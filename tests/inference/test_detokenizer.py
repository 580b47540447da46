"""Text out of a model's bytes: whole characters, and nothing from a stop string on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.inference.detokenizer import Detokenizer


def fed(data: bytes, *stops: str, size: int = 1) -> tuple[list[str], str]:
    """Feed `data` in pieces of `size` bytes; return what came out, and what stopped it."""
    text = Detokenizer(stops)
    parts = [text.feed(data[i : i + size]) for i in range(0, len(data), size)]
    return [*parts, text.rest()], text.stopped


def test_characters_are_never_cut() -> None:
    assert ["", "", "", "😀", "", "é", ""] == fed("😀é".encode())[0]
    assert ["", ""] == fed("😀".encode()[:1])[0]
    assert ["a", "", "", ""] == fed(b"a" + "😀".encode()[:2])[0]
    assert ["\N{REPLACEMENT CHARACTER}", "a", ""] == fed(b"\xffa")[0]


@pytest.mark.parametrize("size", [1, 2, 99])
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_character_that_is_cut_at_the_end_is_left_out(missing: int, size: int) -> None:
    assert "é" == "".join(fed("é😀".encode()[:-missing], size=size)[0])
    # What is held back for another reason is not.
    assert "é\nU" == "".join(fed("é\nU😀".encode()[:-missing], "\nUser:", size=size)[0])


@pytest.mark.parametrize("known", [1, 2, 3])
def test_a_character_that_the_prompt_begins_is_completed(known: int) -> None:
    data = "😀".encode()

    assert "😀a" == Detokenizer(before=b"x" + data[:known]).feed(data[known:] + b"a")
    assert "a" == Detokenizer(before=data[:known]).feed(b"a")  # or not
    assert "é" == Detokenizer(before=data[:known]).feed("é".encode())
    assert "a" == Detokenizer(before=data).feed(b"a")


def test_what_is_no_character_anywhere_is_shown_as_such() -> None:
    assert "a\N{REPLACEMENT CHARACTER}b" == "".join(fed(b"a\xf0\x9fb")[0])
    assert "a\N{REPLACEMENT CHARACTER}" == "".join(fed(b"a\xff")[0])


def test_stop_string_over_several_pieces() -> None:
    assert (["a", "", "", "", "", "", "", ""], "\nUser:") == fed(b"a\nUser:", "\nUser:")
    assert (["a", "", "", "", ""], "\nUser:") == fed(b"a\nUser:", "\nUser:", size=2)
    assert (["a", ""], "\nUser:") == fed(b"a\nUser: hello", "\nUser:", size=99)


def test_what_might_have_become_a_stop_string_is_not_lost() -> None:
    assert (["a", "\nUs and", " them", ""], "") == fed_parts(["a\nUs", " and", " them"], "\nUser:")
    assert (["a", "\nU"], "") == fed(b"a\nU", "\nUser:", size=3)


def fed_parts(parts: list[str], *stops: str) -> tuple[list[str], str]:
    """Feed these very parts; return what came out, and what stopped it."""
    text = Detokenizer(stops)
    return [*(text.feed(part.encode()) for part in parts), text.rest()], text.stopped


def test_the_earliest_stop_string_counts() -> None:
    assert "one " == "".join(fed(b"one two three", "three", "two", size=13)[0])
    assert "" == "".join(fed(b"aaa", "a")[0])


def test_no_stop_strings_hold_nothing_back() -> None:
    assert ["a", "b", ""] == fed(b"ab")[0]
    assert ["a", "b", ""] == fed(b"ab", "")[0]


@given(
    st.text(alphabet="ab\nü😀", max_size=30),
    st.lists(st.text(alphabet="ab\nü", min_size=1, max_size=4), max_size=3),
    st.integers(1, 7),
)
def test_pieces_make_the_text_up_to_the_first_stop(text: str, stops: list[str], size: int) -> None:
    parts, stopped = fed(text.encode(), *stops, size=size)
    found = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]

    assert text[: min(found)[1] if found else len(text)] == "".join(parts)
    assert bool(found) == bool(stopped)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_several_stops_at_any_size(size: int) -> None:
    assert "x" == "".join(fed("xü😀b".encode(), "ü😀", size=size)[0])


def fed_tokens(tokens: list[str], *stops: str) -> tuple[str, str]:
    """Feed tokens, of which those in `<>` are hidden; return what came out, and what stopped it."""
    text = Detokenizer(stops)
    parts = [
        text.feed(b"", token.encode()) if token.startswith("<") else text.feed(token.encode())
        for token in tokens
    ]
    return "".join([*parts, text.rest()]), text.stopped


@pytest.mark.parametrize(
    ("tokens", "stops", "shown", "stopped"),
    [
        (["a", "<end>", "b"], ["<end>"], "a", "<end>"),
        (["a", "<end>", "b"], [], "ab", ""),
        (["a", "<end>", "b"], ["<begin>"], "ab", ""),
        (["a", "<end>", "<begin>", "b"], ["<end><begin>"], "a", "<end><begin>"),
        (["a", "<end>", "b", "<begin>"], ["<end><begin>"], "ab", ""),
        (["a\n", "<end>", "b"], ["\n<end>"], "a", "\n<end>"),
        (["a\n", "<end>", "\nUs", "er"], ["<end>\nUser"], "a\n", "<end>\nUser"),
        (["a\n", "<end>", "\nUs", "ed"], ["<end>\nUser"], "a\n\nUsed", ""),
        (["a", "<end>", "<end>", "<begin>"], ["<end><begin>"], "a", "<end><begin>"),
        (["ab", "<end>", "cd"], ["bc", "<end>cd"], "ab", "<end>cd"),
        # What is not shown stops nothing in part: a ">" that nobody sees is none.
        (["a", "<end>", "b", ">", "c"], [">"], "ab", ">"),
        (["a", "<end>", "b"], ["end", "d>b", "<", "a<e"], "ab", ""),
        (["a", "<end>", "nd>b"], ["<end>b", "nd>b"], "a", "nd>b"),
        (["a", "<e<e>", "b"], ["<e>b"], "ab", ""),
        (["😀", "<end>", "b"], ["😀<end>"], "", "😀<end>"),
    ],
)
def test_hidden_tokens_stop_whole(
    tokens: list[str], stops: list[str], shown: str, stopped: str
) -> None:
    assert (shown, stopped) == fed_tokens(tokens, *stops)


@given(
    st.lists(st.sampled_from(["a", "ab", "b", "<x>", "<y>"]), max_size=8),
    st.lists(st.sampled_from(["a", "b", "<x>", "<y>"]), min_size=1, max_size=3).map("".join),
)
def test_hidden_tokens_stop_as_if_shown(tokens: list[str], stop: str) -> None:
    written = "".join(tokens)
    before = written.partition(stop)[0]

    shown, stopped = fed_tokens(tokens, stop)
    assert before.replace("<x>", "").replace("<y>", "") == shown
    assert bool(stopped) == (stop in written)
