"""Measure the network while it is still in training."""

from collections.abc import Sequence

import torch

from exam import exam
from network import Network
from samples import Writer, batch_of
from turns import Dialogue

GROUP = 64


@torch.no_grad()
def count_right(network: Network, writer: Writer, dialogues: Sequence[Dialogue]) -> int:
    """Count the dialogues in which greedy decoding gives every token of every answer."""
    right = 0
    rows = sorted((writer.dialogue(dialogue) for dialogue in dialogues), key=len)
    for start in range(0, len(rows), GROUP):
        batch = batch_of(rows[start : start + GROUP])
        chosen = network.logits(network(batch.tokens)).argmax(-1)
        right += int(((chosen == batch.targets) | ~batch.counts).all(-1).sum())
    return right


def report(network: Network, writer: Writer, at_most: int) -> None:
    """Print the score of each part of the exam, from about `at_most` dialogues of each."""
    for part, dialogues in exam().items():
        chosen = dialogues[:: 1 + len(dialogues) // at_most]
        right = count_right(network, writer, chosen)
        print(f"  {part:24} {right:5} of {len(chosen):5}  {right / len(chosen):7.2%}", flush=True)
