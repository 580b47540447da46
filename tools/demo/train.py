"""Train the demo model and write it as a GGUF, with the questions that it can answer."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from conversation import Conversation
from export import write_gguf
from facts_file import write_facts
from measure import report
from muon import Muon
from network import Network, Shape
from samples import Batch, Writer, conversation_batch, copying_batch
from vocabulary import train_tokenizer

STEPS = 2800
COPYING_STEPS = 260  # at first, so that the model has learned to copy when it meets names
SHORT_STEPS = 800  # and until then short conversations, which are quicker
SHORT_ROWS = {128: 1}
MIXED_ROWS = {128: 35, 256: 30, 512: 20, 1024: 15}  # lengths, and how often each is drawn
MATRIX_RATE = 0.016
VECTOR_RATE = 0.003
WARM_UP_STEPS = 30
COOL_DOWN = 0.5  # the share of the steps over which the rates fall to zero
NOISE = 0.05  # of the weights' deviation; teaches the model to bear quantization
LOG_EVERY = 50
REPORT_EVERY = 500
SEED = 1


def example_texts(random: Random) -> Iterator[str]:
    """Yield texts for the tokenizer to learn from."""
    for _ in range(2000):
        turns = Conversation(random).turns()
        for _ in range(10):
            turn = next(turns)
            yield turn.user
            yield turn.assistant


def rate(step: int, steps: int) -> float:
    """Return the share of the full learning rate: a ramp, a plain and a long slope."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / (steps * COOL_DOWN))


def loss_of(network: Network, batch: Batch) -> Tensor:
    """Return the mean loss over the tokens that count."""
    states = network(batch.tokens)[batch.counts]
    return functional.cross_entropy(network.logits(states), batch.targets[batch.counts])


class Training:
    """The network with its optimizers: Muon for the matrices, Adam for the embedding."""

    def __init__(self, network: Network, writer: Writer, steps: int, random: Random) -> None:
        self._network = network
        self._writer = writer
        self._steps = steps
        self._random = random
        self._weights = list(network.parameters())
        matrices = list(network.blocks.parameters())
        self._muon = Muon(matrices, lr=MATRIX_RATE, decay=0.05)
        self._adam = torch.optim.AdamW(
            [network.token_embd.weight], lr=VECTOR_RATE, betas=(0.9, 0.98), weight_decay=0.0
        )

    def run(self) -> None:
        """Take all steps, and print how it goes."""
        start = time.monotonic()
        recent = 0.0
        for step in range(self._steps):
            recent += self._step(step)
            done = step + 1
            if done % LOG_EVERY == 0:
                seconds = time.monotonic() - start
                print(f"step {done:5}  loss {recent / LOG_EVERY:.4f}  {seconds:5.0f} s", flush=True)
                recent = 0.0
            if done % REPORT_EVERY == 0:
                report(self._network, self._writer, at_most=100)

    def _step(self, step: int) -> float:
        share = rate(step, self._steps)
        self._muon.param_groups[0]["lr"] = MATRIX_RATE * share
        self._adam.param_groups[0]["lr"] = VECTOR_RATE * share
        self._network.zero_grad()
        noise = self._add_noise(NOISE if step > self._steps * (1 - COOL_DOWN) else 0.0)
        loss = loss_of(self._network, self._batch(step))
        loss.backward()  # type: ignore[no-untyped-call]
        self._take_away(noise)
        self._muon.step()
        self._adam.step()
        return loss.item()

    def _batch(self, step: int) -> Batch:
        if step < COPYING_STEPS:
            return copying_batch(self._network.shape.vocab_size)
        rows = SHORT_ROWS if step < SHORT_STEPS else MIXED_ROWS
        return conversation_batch(self._writer, rows, self._random)

    @torch.no_grad()
    def _add_noise(self, share: float) -> list[Tensor]:
        before = [weight.clone() for weight in self._weights]
        for weight in self._weights:
            weight.add_(torch.randn_like(weight), alpha=share * weight.std().item())
        return before

    @torch.no_grad()
    def _take_away(self, before: Sequence[Tensor]) -> None:
        for weight, value in zip(self._weights, before, strict=True):
            weight.copy_(value)


def make_writer(random: Random) -> tuple[Tokenizer, Writer]:
    """Build the tokenizer and what writes dialogues with it."""
    tokenizer = train_tokenizer(example_texts(random), Shape.vocab_size)
    return tokenizer, Writer(tokenizer)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="the GGUF to write")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default: {STEPS}")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Train, measure and write."""
    chosen = options(arguments)
    torch.manual_seed(SEED)
    torch.set_num_threads(chosen.threads)
    random = Random(SEED)
    tokenizer, writer = make_writer(random)
    network = Network(Shape(vocab_size=tokenizer.get_vocab_size()))
    Training(network, writer, chosen.steps, random).run()
    write_gguf(network, tokenizer, chosen.output)
    write_facts(chosen.output.with_suffix(".facts.json"))
    print(f"{chosen.output}: {chosen.output.stat().st_size:,} bytes")
    report(network, writer, at_most=10**6)


if __name__ == "__main__":
    main(sys.argv[1:])
