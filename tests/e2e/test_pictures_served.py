"""Pictures in requests: by all protocols, encoded once, answered as llama.cpp's own server does."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawings import gallery
from media_server import encoded, posted, text_of
from peer_server import peer_server
from program import Program
from projectors import KINDS, Pair, write_pair
from servers import serve

SECONDS = 60
TOKENS = 24
QUESTION = "What is it?"
PICTURES = {name: base64.b64encode(data).decode() for name, data in gallery().items()}
FIRST, SECOND = list(PICTURES.values())[:2]


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Return a model that sees, with its projector, of each kind."""
    return write_pair(tmp_path_factory.mktemp("seeing"), request.param)


@pytest.fixture(scope="module")
def address(chat: Program, pair: Pair) -> Iterator[str]:
    flags = ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1", "-c", "2048")
    with serve(chat, *flags) as running:
        yield running.url


def last_line(url: str, body: dict[str, Any]) -> Any:
    """Return the last object of a response, which may be a stream of them."""
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.loads(answer.read().splitlines()[-1])


def asked(address: str, data: str, question: str = QUESTION) -> Any:
    """Return the answer of chat completions to a question about a picture."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    content = [picture, {"type": "text", "text": question}]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": TOKENS}
    return posted(f"{address}/v1/chat/completions", {**body, "temperature": 0})


def test_all_protocols_show_the_same_picture(address: str) -> None:
    expected = text_of(asked(address, FIRST))
    assert expected != text_of(asked(address, SECOND))
    url = f"data:image/png;base64,{FIRST}"

    parts = [{"type": "input_image", "image_url": url}, {"type": "input_text", "text": QUESTION}]
    response = posted(
        f"{address}/v1/responses",
        {"input": [{"role": "user", "content": parts}], "temperature": 0,
         "max_output_tokens": TOKENS},
    )  # fmt: skip
    assert expected == response["output"][0]["content"][0]["text"]

    source = {"type": "base64", "media_type": "image/png", "data": FIRST}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
    body = {"messages": [{"role": "user", "content": blocks}]}
    message = posted(f"{address}/v1/messages", {**body, "max_tokens": TOKENS, "temperature": 0})
    assert expected == message["content"][0]["text"]
    counted = posted(f"{address}/v1/messages/count_tokens", body)["input_tokens"]
    usage = message["usage"]
    assert counted == usage["input_tokens"] + usage["cache_read_input_tokens"]

    options = {"num_predict": TOKENS, "temperature": 0}
    turn = {"role": "user", "content": QUESTION, "images": [FIRST]}
    same = {"stream": False, "options": options}
    assert (
        expected
        == posted(f"{address}/api/chat", {"messages": [turn], **same})["message"]["content"]
    )
    question = {"prompt": QUESTION, "images": [FIRST], **same}
    first = posted(f"{address}/api/generate", question)
    assert expected == first["response"]
    again = posted(f"{address}/api/generate", {**question, "context": first["context"]})
    assert again["prompt_eval_count"] > first["prompt_eval_count"]

    body = {"messages": [{"role": "user", "content": f"<__media__>{QUESTION}"}]}
    prompt = posted(f"{address}/apply-template", body)["prompt"]
    given = {"prompt_string": prompt, "multimodal_data": [FIRST]}
    body = {"prompt": given, "n_predict": TOKENS, "temperature": 0}
    assert expected == posted(f"{address}/completion", body)["content"]


@pytest.mark.parametrize("streams", [False, True])
def test_what_an_answer_goes_on_from_has_no_part_of_a_picture(address: str, streams: bool) -> None:
    """No token that begins or ends one either: a model would look for what is between them."""
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    prompt = posted(f"{address}/apply-template", body)["prompt"]
    tokens = posted(f"{address}/tokenize", {"content": prompt, "add_special": True})["tokens"]
    options = {"num_predict": TOKENS, "temperature": 0}
    question = {"prompt": QUESTION, "images": [FIRST], "options": options, "stream": streams}
    context = last_line(f"{address}/api/generate", question)["context"]

    assert tokens == context[: len(tokens)]
    assert len(context) <= len(tokens) + TOKENS
    following = {**question, "context": context, "stream": False}
    answers = {
        posted(f"{address}/api/generate", {**following, "images": images})["response"]
        for images in ([], [FIRST], [SECOND])
    }
    assert 3 == len(answers)  # a picture that is sent again is seen


def test_the_same_picture_is_not_encoded_again(address: str) -> None:
    first = asked(address, SECOND)
    before = encoded(address)
    second = asked(address, SECOND, "And what else is there?")

    assert before == encoded(address)
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 1}
    blind = posted(f"{address}/v1/chat/completions", body)["usage"]["prompt_tokens"]
    assert cached >= first["usage"]["prompt_tokens"] - blind > 0  # the picture, at least


def test_a_slot_with_a_picture_is_restored_by_another_server(
    chat: Program, pair: Pair, tmp_path: Path
) -> None:
    flags = ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1", "-c", "2048",
             "-np", "1", "--slot-save-path", str(tmp_path))  # fmt: skip
    with serve(chat, *flags) as server:
        expected = asked(server.url, FIRST)
        posted(f"{server.url}/slots/0?action=save", {"filename": "seen"})
    with serve(chat, *flags) as server:
        posted(f"{server.url}/slots/0?action=restore", {"filename": "seen"})
        found = asked(server.url, FIRST)
        assert text_of(expected) == text_of(found)
        assert 0 == encoded(server.url)
        assert found["usage"]["prompt_tokens_details"]["cached_tokens"] > 10


def test_answers_are_the_peers(pair: Pair, address: str) -> None:
    with peer_server(pair) as other:
        for name, data in PICTURES.items():
            ours, theirs = asked(address, data), asked(other, data)
            assert text_of(theirs) == text_of(ours), name
            assert theirs["usage"]["prompt_tokens"] == ours["usage"]["prompt_tokens"], name
