"""Show a running server drawings that training has not seen and print how much it gets right.

The server is one of modelembed or llama.cpp's own, with the demo model and its eye.
"""

import argparse
import base64
import io
import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from PIL import Image

from drawings import Scene, draw, scene
from export import read_gguf
from language import Language
from measure import answers
from talks import QUESTIONS

SEED = 20_000  # training has another
FORMATS = ("PNG", "PNG", "JPEG")
FACTS_APART = 12
Content = str | list[dict[str, object]]


@dataclass(frozen=True)
class Showing:
    """A drawing and what is asked about it."""

    scene: Scene
    image: Image.Image
    data: bytes
    format: str
    question: str
    picture_first: bool


def showings(count: int) -> Iterator[Showing]:
    """Draw scenes, one half of them of pairs that no drawing for training shows."""
    random = Random(SEED)
    for index in range(count):
        seen = scene(random, held_out=index % 2 == 1)
        kind = FORMATS[index % len(FORMATS)]
        data = io.BytesIO()
        draw(seen, random)[0].save(data, kind, **({"quality": 90} if kind == "JPEG" else {}))
        image = Image.open(io.BytesIO(data.getvalue())).convert("RGB")
        question = QUESTIONS[index % len(QUESTIONS)]
        yield Showing(seen, image, data.getvalue(), kind, question, index % 4 != 3)


def ask(server: str, *messages: Content) -> str:
    """Return what a server says to what a user says, turn after turn, as likely as it can be."""
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": content}
        for number, content in enumerate(messages)
    ]
    body = {"messages": turns, "temperature": 0, "max_tokens": 256}
    request = urllib.request.Request(
        f"{server}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        text = json.load(response)["choices"][0]["message"]["content"]
    return str(text)


def content(showing: Showing) -> Content:
    """Return a picture and a question as a server takes them."""
    encoded = base64.b64encode(showing.data).decode()
    url = f"data:image/{showing.format.lower()};base64,{encoded}"
    parts: list[dict[str, object]] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": showing.question},
    ]
    return parts if showing.picture_first else parts[::-1]


def facts_behind_pictures(server: str, facts: Path, shown: Sequence[Showing]) -> None:
    """Print how much of what the model knows it still says behind a picture."""
    known = json.loads(facts.read_text())["questions"][::FACTS_APART]
    right = 0
    for showing, fact in zip(shown, known, strict=False):
        said = ask(server, content(showing), showing.scene.caption, fact["question"])
        right += said == fact["answer"]
    print(f"facts behind a picture   {right:5} of {min(len(known), len(shown)):5}")


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", help="where it listens, as http://127.0.0.1:8080")
    parser.add_argument("--model", type=Path, default="models/demo.gguf", help="the model's GGUF")
    parser.add_argument("--eye", type=Path, default="models/eye/mmproj-demo.gguf", help="the eye's")
    parser.add_argument(
        "--facts", type=Path, default="models/demo.facts.json", help="what it knows"
    )
    parser.add_argument("--count", type=int, default=1000, help="drawings; default: 1000")
    parser.add_argument("--show", type=int, default=5, help="wrong answers to print")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Ask about all, and compare with what is right and with what torch says."""
    chosen = options(arguments)
    torch.set_num_threads(1)
    language, eye = Language(chosen.model), read_gguf(chosen.eye)
    right = right_held_out = equal = 0
    wrong: list[str] = []
    shown = list(showings(chosen.count))
    for showing in shown:
        said = ask(chosen.server, content(showing))
        expected = showing.scene.caption
        torch_says = answers(language, eye, showing.image, showing.question, showing.picture_first)
        equal += said == torch_says
        if said == expected:
            right += 1
            right_held_out += showing.scene.held_out
        else:
            wrong.append(f"  {said!r}, not {expected!r}; torch says {torch_says!r}")
    held_out = sum(showing.scene.held_out for showing in shown)
    print(f"right                    {right:5} of {len(shown):5}  {right / len(shown):8.2%}")
    print(f"right of held-out pairs  {right_held_out:5} of {held_out:5}")
    print(f"as torch says            {equal:5} of {len(shown):5}  {equal / len(shown):8.2%}")
    facts_behind_pictures(chosen.server, chosen.facts, shown)
    print("\n".join(wrong[: chosen.show]))


if __name__ == "__main__":
    main(sys.argv[1:])
