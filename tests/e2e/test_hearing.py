"""Sounds in requests and on the command line, heard by a projector with random weights."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from encoded_pictures import png
from encoded_sounds import recordings
from media_server import encoded, posted, text_of
from paths import DEMO
from peer_server import peer_server
from program import Program
from projectors import Pair, write_hearing_pair
from servers import serve

SECONDS = 60
TOKENS = 24
QUESTION = "Transcribe audio to text"
"""What models are asked for a transcription, by llama-server as well."""
SOUNDS = recordings()
LOW, HIGH = SOUNDS["low"], SOUNDS["high"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Return a model that hears, with its projector."""
    return write_hearing_pair(tmp_path_factory.mktemp("hearing"))


@pytest.fixture(scope="module")
def flags(pair: Pair) -> tuple[str, ...]:
    return ("-m", str(pair.model), "--mmproj", str(pair.projector), "-t", "1", "-c", "2048")


@pytest.fixture(scope="module")
def address(chat: Program, flags: tuple[str, ...]) -> Iterator[str]:
    with serve(chat, *flags) as running:
        yield running.url


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


def asked(address: str, sound: bytes, question: str = QUESTION) -> Any:
    """Return the answer of chat completions to a question about a sound."""
    data = base64.b64encode(sound).decode()
    heard = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    content = [{"type": "text", "text": question}, heard]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": TOKENS}
    return posted(f"{address}/v1/chat/completions", {**body, "temperature": 0})


def transcribed(address: str, sound: bytes, **fields: str) -> Any:
    """Return what is transcribed, with the form written by hand: llama-server's clients vary."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {"temperature": "0", "max_tokens": str(TOKENS), **fields}.items()
    ]
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = b"".join([*parts, head, sound, b"\r\n--edge--\r\n"])
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    request = urllib.request.Request(f"{address}/v1/audio/transcriptions", body, kind)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def test_other_sounds_give_other_answers(address: str) -> None:
    answers = {text_of(asked(address, sound)) for sound in SOUNDS.values()}

    assert len(answers) >= len(SOUNDS) - 1


def test_a_transcription_is_the_answer_to_a_question(address: str) -> None:
    expected = asked(address, LOW)
    found = transcribed(address, LOW)

    assert text_of(expected) == found["text"]
    assert "transcript.text.done" == found["type"]
    assert expected["usage"]["prompt_tokens"] == found["usage"]["input_tokens"]
    assert expected["usage"]["completion_tokens"] == found["usage"]["output_tokens"]


def test_prompt_and_language_are_asked_for(address: str) -> None:
    found = transcribed(address, HIGH, prompt="What is said?", language="de")

    assert text_of(asked(address, HIGH, "What is said? (language: de)")) == found["text"]


def test_openais_client(client: openai.OpenAI, address: str, tmp_path: Path) -> None:
    path = tmp_path / "high.wav"
    path.write_bytes(HIGH)
    more: dict[str, Any] = {"temperature": 0, "extra_body": {"max_tokens": TOKENS}}
    expected = transcribed(address, HIGH)["text"]

    whole = client.audio.transcriptions.create(file=path, model="any", **more)
    assert expected == whole.text
    plain = client.audio.transcriptions.create(
        file=path, model="any", response_format="text", **more
    )
    assert f"{expected}\n" == plain
    events = [*client.audio.transcriptions.create(file=path, model="any", stream=True, **more)]
    assert {"transcript.text.delta"} == {event.type for event in events[:-1]}
    assert expected == "".join(event.delta for event in events[:-1] if event.type.endswith("delta"))
    last = events[-1]
    assert last.type == "transcript.text.done"
    assert expected == last.text


def test_a_sound_is_encoded_once(address: str) -> None:
    sound = SOUNDS["fading"][:-2000] + SOUNDS["noise"][-2000:]  # asked about in no other test
    before = encoded(address)
    asked(address, sound)
    assert before + 1 == encoded(address)
    asked(address, sound)
    assert before + 1 == encoded(address)


@pytest.mark.parametrize(
    "sound, fields, param",
    [
        (b"no sound", {}, "file"),
        (LOW[:60], {}, "file"),
        (png(), {}, "file"),
        (LOW, {"response_format": "srt"}, "response_format"),
        (LOW, {"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_what_cannot_be_transcribed_is_told(
    address: str, sound: bytes, fields: dict[str, str], param: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as found:
        transcribed(address, sound, **fields)
    assert 400 == found.value.code
    assert param == json.load(found.value)["error"]["param"]


def test_a_model_that_hears_nothing_says_so(chat: Program) -> None:
    with serve(chat, "-t", "1") as server, pytest.raises(urllib.error.HTTPError) as found:
        transcribed(server.url, LOW)
    assert 501 == found.value.code
    assert "does not hear" in json.load(found.value)["error"]["message"]


def test_a_program_is_told_a_file(
    chat: Program, flags: tuple[str, ...], address: str, tmp_path: Path
) -> None:
    path = tmp_path / "low.wav"
    path.write_bytes(LOW)
    done = chat("What is it?", "--audio", str(path), "--temp", "0", "-n", str(TOKENS), *flags)

    assert done.code == 0, done.err
    sound = {"data": base64.b64encode(LOW).decode()}
    content = [
        {"type": "input_audio", "input_audio": sound}, {"type": "text", "text": "What is it?"}
    ]  # fmt: skip
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": TOKENS}
    answer = posted(f"{address}/v1/chat/completions", {**body, "temperature": 0})
    assert text_of(answer).strip() == done.out.strip()


def test_it_is_put_into_a_program(modelembed: Program, pair: Pair, tmp_path: Path) -> None:
    target, path = tmp_path / "hears", tmp_path / "low.wav"
    path.write_bytes(LOW)
    done = modelembed(
        "bundle", str(pair.model), "--mmproj", str(pair.projector), "-o", str(target), "--no-check"
    )
    assert done.code == 0, done.err
    program = Program(target)
    assert "Ears of Tiny llava, takes sound (type ultravox)" in program("info").out
    heard = program("What is it?", "--audio", str(path), "--temp", "0", "-n", "8", "-t", "1")
    assert heard.code == 0, heard.err
    assert heard.out.strip()
    path.write_bytes(png())
    refused = program("What is it?", "--audio", str(path), "-t", "1")
    assert refused.code != 0
    assert "Traceback" not in refused.err


def test_a_model_that_only_sees_refuses_sound(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "low.wav"
    path.write_bytes(LOW)
    refused = chat("What is it?", "--audio", str(path), "-m", str(DEMO))
    assert refused.code != 0
    assert "sound" in refused.err


def test_answers_are_the_peers(pair: Pair, address: str) -> None:
    with peer_server(pair) as other:
        for name, sound in SOUNDS.items():
            ours, theirs = asked(address, sound), asked(other, sound)
            assert text_of(theirs) == text_of(ours), name
            assert theirs["usage"]["prompt_tokens"] == ours["usage"]["prompt_tokens"], name
        for name in ("low", "rising"):
            assert transcribed(other, SOUNDS[name])["text"] == transcribed(
                address, SOUNDS[name]
            )["text"]  # fmt: skip
