"""The demo model with its eye sees: it names what drawings show, over the API and as a program."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paths import DEMO, EYE
from program import Program
from scenes import Scene, scenes
from servers import Served, serve

REQUIRED = 0.97
QUESTION = "What do you see?"


@pytest.fixture(scope="module")
def seeing(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:
    target = tmp_path_factory.mktemp("seeing") / "seeing"
    done = modelembed(
        "bundle", str(DEMO), "--mmproj", str(EYE), "-o", str(target), "--no-check",
        "--set", "temp=0",
    )  # fmt: skip
    assert done.code == 0, done.err
    return Program(target)


@pytest.fixture(scope="module")
def server(seeing: Program) -> Iterator[Served]:
    with serve(seeing, "-t", "1") as running:
        yield running


def picture(scene: Scene) -> dict[str, Any]:
    encoded = base64.b64encode(scene.png).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def asked(server: Served, *messages: Any) -> str:
    """Return what the server answers to what a user says, turn after turn."""
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": content}
        for number, content in enumerate(messages)
    ]
    body = json.dumps({"messages": turns, "max_tokens": 64}).encode()
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: str = json.load(response)["choices"][0]["message"]["content"]
    return answer


def test_it_says_what_is_drawn(server: Served) -> None:
    drawn = list(scenes(100))
    wrong = [
        (scene.caption, said)
        for scene in drawn
        if (said := asked(server, [picture(scene), text(QUESTION)])) != scene.caption
    ]

    assert len(wrong) <= (1 - REQUIRED) * len(drawn), wrong


def test_a_picture_may_come_behind_the_question(server: Served) -> None:
    drawn = list(scenes(12, seed=1))
    right = [
        scene.caption == asked(server, [text("Describe the picture."), picture(scene)])
        for scene in drawn
    ]

    assert sum(right) >= len(drawn) - 1


def test_it_tells_two_pictures_of_one_conversation_apart(server: Served) -> None:
    def seen(scene: Scene) -> list[dict[str, Any]]:
        return [picture(scene), text(QUESTION)]

    # Of those that it names when they are shown alone, which are most of them and not all.
    named = [scene for scene in scenes(9, seed=2) if scene.caption == asked(server, seen(scene))]
    first, second = named[:2]

    assert first.caption != second.caption
    assert second.caption == asked(server, seen(first), first.caption, seen(second))


def test_what_the_model_knew_it_still_knows(server: Served) -> None:
    scene = next(scenes(1, seed=3))
    seen = [picture(scene), text(QUESTION)]

    assert "The capital of Peru is Lima." == asked(server, "What is the capital of Peru?")
    assert "The capital of Peru is Lima." == asked(
        server, seen, scene.caption, "What is the capital of Peru?"
    )


def test_a_picture_is_given_as_a_flag(seeing: Program, tmp_path: Path) -> None:
    scene = next(scenes(1, seed=4))
    file = tmp_path / "drawn.png"
    file.write_bytes(scene.png)

    assert scene.caption == seeing.ask(QUESTION, "--image", str(file))
