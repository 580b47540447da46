"""Ask the eye and the language model together, as llama.cpp will: greedily."""

from random import Random

import torch
from PIL import Image
from torch import Tensor

from drawings import draw, scene
from encoder import Eye
from language import Language
from pixels import as_tensor
from talks import END, PICTURE, Rows, Talker, stacked

MOST_TOKENS = 64
GROUP = 50
SEED = 10_000  # training has another


def embeddings(language: Language, tokens: Tensor, pictures: Tensor) -> Tensor:
    """Return the embeddings of tokens, and those of pictures in their places."""
    found = language.embed(tokens.clamp(min=0))
    return found.masked_scatter((tokens == PICTURE).unsqueeze(-1), pictures)


@torch.no_grad()
def answers(
    language: Language, eye: Eye, image: Image.Image, question: str, picture_first: bool
) -> str:
    """Return what is said about a picture, one token after another."""
    talker = Talker(language, eye.shape.patches, Random(0))
    tokens = talker.picture_question(question, picture_first)
    pictures = eye(as_tensor([image], eye.shape.image_size))
    x = embeddings(language, torch.tensor([[token for token, _ in tokens]]), pictures)
    [end] = language.tokens(END)
    said: list[int] = []
    while len(said) < MOST_TOKENS:
        token = language.logits(language.states(x)[:, -1]).argmax(-1)
        if token.item() == end:
            break
        said.append(int(token.item()))
        x = torch.cat((x, language.embed(token.unsqueeze(0))), 1)
    return language.text(said)


def right_tokens(logits: Tensor, rows: Rows) -> Tensor:
    """Say of each row whether every token that counts is the likeliest."""
    right = torch.ones(rows.counts.shape, dtype=torch.bool)
    right[rows.counts] = logits.argmax(-1) == rows.targets[rows.counts]
    return right.all(-1)


@torch.no_grad()
def share_right(language: Language, eye: Eye, count: int, held_out: bool) -> float:
    """Return the share of drawings, all new, whose whole captions come out right."""
    random = Random(SEED)
    talker = Talker(language, eye.shape.patches, random)
    right = 0
    for _ in range(0, count, GROUP):
        scenes = [scene(random, held_out=held_out) for _ in range(GROUP)]
        images = [draw(seen, random)[0] for seen in scenes]
        rows = stacked([talker.short_talk(seen) for seen in scenes])
        pictures = eye(as_tensor(images, eye.shape.image_size))
        states = language.states(embeddings(language, rows.tokens, pictures))
        right += int(right_tokens(language.logits(states[rows.counts]), rows).sum())
    return right / count
