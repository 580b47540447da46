"""Make up talks about drawings, as tokens with places for the pictures' embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from demo import Conversation, Turn, hurried
from drawings import Scene
from language import Language

QUESTIONS = (
    "What do you see?",
    "What do you see in the picture?",
    "What do you see in this image?",
    "What is in the picture?",
    "What is in this picture?",
    "What is in the image?",
    "What is in this image?",
    "What is this?",
    "What is drawn here?",
    "What does the picture show?",
    "What does the image show?",
    "Describe the picture.",
    "Describe this picture.",
    "Describe the image.",
    "Describe this image.",
    "Describe what you see.",
    "What is shown here?",
    "Tell me what you see.",
)
PICTURE = -1  # in the place of a token: an embedding of a picture
START, END = "<|im_start|>", "<|im_end|>"
Marked = list[tuple[int, bool]]  # tokens, and whether they are to be predicted


@dataclass(frozen=True)
class Talk:
    """Tokens of one conversation and the scenes of its pictures, in their order."""

    tokens: Marked
    scenes: tuple[Scene, ...]


class Talker:
    """Write conversations in which pictures come up."""

    def __init__(self, language: Language, cells: int, random: Random) -> None:
        self._language = language
        self._cells = cells
        self._random = random

    def picture_question(self, question: str, picture_first: bool) -> Marked:
        """Show a picture, before a question or behind it."""
        before, behind = ("", question) if picture_first else (question, "")
        return [
            *self._given(f"{START}user\n{before}"),
            *[(PICTURE, False)] * self._cells,
            *self._given(f"{behind}{END}\n{START}assistant\n"),
        ]

    def picture_turn(self, scene: Scene) -> Marked:
        """Ask for a caption in one of many ways, and give it."""
        random = self._random
        question = "" if random.random() < 0.04 else random.choice(QUESTIONS)
        if random.random() < 0.2:
            question = hurried(question)
        picture_first = random.random() < 0.7
        if question and random.random() < 0.2:  # some programs put them on lines of their own
            question = f"\n{question}" if picture_first else f"{question}\n"
        return [*self.picture_question(question, picture_first), *self._said(scene.caption)]

    def text_turn(self, user: str, assistant: str) -> Marked:
        """Ask something else."""
        given = self._given(f"{START}user\n{user}{END}\n{START}assistant\n")
        return [*given, *self._said(assistant)]

    def short_talk(self, scene: Scene) -> Talk:
        """Ask about a picture and no more."""
        return Talk(self.picture_turn(scene), (scene,))

    def long_talk(self, scenes: Sequence[Scene]) -> Talk:
        """Talk about scenes, at times with something else before, between or behind."""
        random = self._random
        conversation = Conversation(random)
        turns = conversation.turns()
        tokens: Marked = []
        if random.random() < 0.5 and conversation.system is not None:
            tokens += self._given(f"{START}system\n{conversation.system}{END}\n")
        if random.random() < 0.2:
            tokens += self._other(next(turns))
        for scene in scenes:
            tokens += self.picture_turn(scene)
            if random.random() < 0.4:
                tokens += self._other(next(turns))
        return Talk(tokens, tuple(scenes))

    def _other(self, turn: Turn) -> Marked:
        return self.text_turn(turn.user, turn.assistant)

    def _given(self, text: str) -> Marked:
        return [(token, False) for token in self._language.tokens(text)]

    def _said(self, text: str) -> Marked:
        said = [(token, True) for token in self._language.tokens(f"{text}{END}")]
        return [*said, *self._given("\n")]


@dataclass(frozen=True)
class Rows:
    """Talks stacked: tokens, what follows each, and where that counts."""

    tokens: Tensor
    targets: Tensor
    counts: Tensor


def stacked(talks: list[Talk]) -> Rows:
    """Stack talks, filling short ones at their ends with tokens that do not count."""
    longest = max(len(talk.tokens) for talk in talks)
    padded = torch.tensor(
        [talk.tokens + [(0, False)] * (longest - len(talk.tokens)) for talk in talks]
    )
    tokens, counts = padded[..., 0], padded[..., 1].bool()
    return Rows(tokens[:, :-1], tokens[:, 1:], counts[:, 1:])
