"""Write dialogues as tokens, in ChatML, and pack them into rows to train on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from conversation import Conversation
from turns import Dialogue, Turn
from vocabulary import TURN_END, TURN_START

TOKENS_PER_BATCH = 2048


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, what follows each token, and where that counts."""

    tokens: Tensor
    targets: Tensor
    counts: Tensor


class Writer:
    """Write turns as tokens, each with a mark that says whether the model is to predict it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids = lru_cache(maxsize=20_000)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text).ids)

    def system(self, text: str) -> list[tuple[int, bool]]:
        """Write the system prompt."""
        return self._marked(f"{TURN_START}system\n{text}{TURN_END}\n", False)

    def turn(self, turn: Turn) -> list[tuple[int, bool]]:
        """Write a question, which is given, and an answer, which is to be predicted."""
        question = f"{TURN_START}user\n{turn.user}{TURN_END}\n{TURN_START}assistant\n"
        return [
            *self._marked(question, False),
            *self._marked(f"{turn.assistant}{TURN_END}", True),
            *self._marked("\n", False),
        ]

    def dialogue(self, dialogue: Dialogue) -> list[tuple[int, bool]]:
        """Write a whole dialogue."""
        tokens = [] if dialogue.system is None else self.system(dialogue.system)
        for turn in dialogue.turns:
            tokens += self.turn(turn)
        return tokens

    def conversation(self, length: int, random: Random) -> list[tuple[int, bool]]:
        """Write a made-up conversation and cut it at `length` tokens."""
        conversation = Conversation(random)
        tokens = [] if conversation.system is None else self.system(conversation.system)
        turns = conversation.turns()
        while len(tokens) < length:
            tokens += self.turn(next(turns))
        return tokens[:length]

    def _marked(self, text: str, counts: bool) -> list[tuple[int, bool]]:
        return [(token, counts) for token in self._ids(text)]


def batch_of(rows: list[list[tuple[int, bool]]]) -> Batch:
    """Stack rows, filling short ones at their ends with tokens that do not count."""
    longest = max(len(row) for row in rows)
    padded = torch.tensor([row + [(0, False)] * (longest - len(row)) for row in rows])
    tokens, counts = padded[..., 0], padded[..., 1].bool()
    return Batch(tokens[:, :-1], tokens[:, 1:], counts[:, 1:])


def conversation_batch(writer: Writer, lengths: Mapping[int, int], random: Random) -> Batch:
    """Make up rows of one of the lengths, drawn by its weight."""
    [length] = random.choices(list(lengths), list(lengths.values()))
    count = TOKENS_PER_BATCH // length
    return batch_of([writer.conversation(length + 1, random) for _ in range(count)])


def copying_batch(vocab_size: int) -> Batch:
    """Make up rows that say random tokens twice: the second time can be predicted."""
    once = torch.randint(vocab_size, (16, 33))
    rows = torch.cat((once, once), 1)
    counts = torch.arange(1, rows.shape[1]).expand(len(rows), -1) > once.shape[1]
    return Batch(rows[:, :-1], rows[:, 1:], counts)
