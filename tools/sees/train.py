"""Train an eye for the demo model, which itself stays as it is, and write it as a GGUF.

    pip install torch==2.13.0 tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6 pillow==13.0.0
    python tools/sees/train.py -o models/eye/mmproj-demo.gguf

First the encoder learns to say of each patch of a drawing what it shows; then encoder and projector
together learn what embeddings make the language model say the caption.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional

from demo import Muon
from drawings import Scene, draw, scene
from encoder import Eye, EyeShape
from export import read_gguf, write_gguf
from labels import PatchClassifier, batch_labels
from language import Language
from measure import embeddings, share_right
from pixels import as_tensor
from talks import Talk, Talker, stacked

SEEING_STEPS = 1200
SEEING_BATCH = 64
NAMING_STEPS = 1600
NAMING_BATCH = 32
LONG_BATCH = 14  # of talks about more than one picture, which have more tokens
SHORT_SHARE = 0.4  # of the steps, in which no talk is long
SEEING_WEIGHT = 0.2  # of what each patch shows, while it learns to name
MATRIX_RATES = (0.02, 0.01)  # while it learns to see, and to name
VECTOR_RATES = (2e-3, 1e-3)
DECAY = 0.02
VECTORS = ("position_embd", "_guess.weight")  # of two dimensions, and yet for Adam
WARM_UP_STEPS = 30
COOL_DOWN = 0.5  # the share of the steps over which the rates fall to zero
LOG_EVERY = 50
REPORT_EVERY = 250
SEED = 1


class Steps:
    """Muon for the matrices, Adam for the rest, and rates that rise and fall."""

    def __init__(self, network: Iterable[tuple[str, Tensor]], phase: int, count: int) -> None:
        matrices, rest = [], []
        for name, weight in network:
            is_matrix = weight.dim() == 2 and name not in VECTORS
            (matrices if is_matrix else rest).append(weight)
        self._muon = Muon(matrices, lr=MATRIX_RATES[phase], decay=DECAY)
        self._adam = torch.optim.AdamW(rest, lr=VECTOR_RATES[phase], weight_decay=0.0)
        self._phase, self.count = phase, count
        self._start = time.monotonic()
        self._recent = 0.0

    def take(self, step: int, loss: Tensor) -> None:
        """Take a step against a loss, and print how it goes now and then."""
        share = min(1, (step + 1) / WARM_UP_STEPS, (self.count - step) / (self.count * COOL_DOWN))
        self._muon.param_groups[0]["lr"] = MATRIX_RATES[self._phase] * share
        self._adam.param_groups[0]["lr"] = VECTOR_RATES[self._phase] * share
        self._muon.zero_grad()
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._muon.step()
        self._adam.step()
        self._recent += loss.item()
        if (step + 1) % LOG_EVERY == 0:
            seconds = time.monotonic() - self._start
            mean = self._recent / LOG_EVERY
            print(f"step {step + 1:5}  loss {mean:.4f}  {seconds:5.0f} s", flush=True)
            self._recent = 0.0


class Lessons:
    """The eye, and what it is taught with: a classifier of patches, then the language model."""

    def __init__(self, eye: Eye, language: Language, random: Random) -> None:
        self._eye = eye
        self._language = language
        self._random = random
        self._classifier = PatchClassifier(eye.shape)
        self._talker = Talker(language, eye.shape.patches, random)
        self._encoder = [(n, w) for n, w in eye.named_parameters() if not n.startswith("mm_")]
        self._projector = [(n, w) for n, w in eye.named_parameters() if n.startswith("mm_")]
        self._helper = [*self._classifier.named_parameters()]

    def learn_to_see(self, count: int) -> None:
        """Teach the encoder what each patch shows."""
        steps = Steps([*self._encoder, *self._helper], 0, count)
        for step in range(count):
            features, wanted = self._look([scene(self._random) for _ in range(SEEING_BATCH)])
            steps.take(step, self._classifier.loss(features, wanted))

    def learn_to_name(self, count: int) -> None:
        """Teach encoder and projector what makes the language model say the captions."""
        language = self._language
        steps = Steps([*self._encoder, *self._projector, *self._helper], 1, count)
        for step in range(count):
            talks = self._talks(long=step % 2 == 1 and step >= count * SHORT_SHARE)
            features, wanted = self._look([seen for talk in talks for seen in talk.scenes])
            rows = stacked(talks)
            x = embeddings(language, rows.tokens, self._eye.project(features))
            logits = language.logits(language.states(x)[rows.counts])
            loss = functional.cross_entropy(logits, rows.targets[rows.counts])
            steps.take(step, loss + SEEING_WEIGHT * self._classifier.loss(features, wanted))
            if (step + 1) % REPORT_EVERY == 0:
                report(language, self._eye, 200)

    def _look(self, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        drawn = [draw(seen, self._random) for seen in scenes]
        pixels = as_tensor([image for image, _ in drawn], self._eye.shape.image_size)
        return self._eye.features(pixels), batch_labels(scenes, drawn, self._eye.shape)

    def _talks(self, long: bool) -> list[Talk]:
        if not long:
            scenes = [scene(self._random) for _ in range(NAMING_BATCH)]
            return [self._talker.short_talk(seen) for seen in scenes]
        pictures = self._random.choice((1, 1, 2))
        return [
            self._talker.long_talk([scene(self._random) for _ in range(pictures)])
            for _ in range(LONG_BATCH)
        ]


def report(language: Language, eye: Eye, count: int) -> None:
    """Print how many captions of new drawings are right."""
    for held_out in (False, True):
        share = share_right(language, eye, count, held_out)
        kind = "pairs that were held out" if held_out else "new drawings"
        print(f"  {kind:24}  {share:8.2%}  of {count}", flush=True)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="the GGUF to write")
    parser.add_argument("--model", type=Path, default="models/demo.gguf", help="the model's GGUF")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--quick", action="store_true", help="few steps, to try the script itself")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Train, write and measure what was written."""
    chosen = options(arguments)
    torch.manual_seed(SEED)
    torch.set_num_threads(chosen.threads)
    random = Random(SEED)
    language = Language(chosen.model)
    eye = Eye(EyeShape(projection_dim=language.network.shape.embedding_length))
    lessons = Lessons(eye, language, random)
    lessons.learn_to_see(20 if chosen.quick else SEEING_STEPS)
    lessons.learn_to_name(20 if chosen.quick else NAMING_STEPS)
    write_gguf(eye, chosen.output)
    print(f"{chosen.output}: {chosen.output.stat().st_size:,} bytes")
    report(language, read_gguf(chosen.output), 200 if chosen.quick else 1000)


if __name__ == "__main__":
    main(sys.argv[1:])
