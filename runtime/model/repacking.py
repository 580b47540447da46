"""Whether repacking the weights pays for a single answer, told before they are loaded.

The engine can rearrange ("repack") weights while it loads them, for kernels that read prompts
faster. Both what that costs before the first token and what it saves with each token of the prompt
grow with the model, so that its size should not matter. One thread repacks, all of them read: the
more there are, the longer a prompt must be for it to pay.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from runtime.gguf.header import Header
from runtime.host import resources
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options

MACHINES = ("x86_64", "AMD64")
"""Those of which one was measured."""
UNMEASURED_FEATURE = "amx_tile"
"""The kernel's name of what makes repacked weights far faster, by another layout of them."""
TOKENS_PER_THREAD = 256
"""Of prompt, below which the first token comes later with repacking, by what was measured.

`python -m benchmarks.break_even 1.1b-q4_k_m --threads 2` on an AMD EPYC with AVX2 and no AVX-512:
repacking lost 0.25 to 0.97 s at every length from 8 to 512 tokens, of 0.4 to 7 s, and a generated
token took 1.07 times as long; 250M Q4_K on one thread broke even at 174 tokens. Not measured: other
types of weights, AVX-512, compressed models.
"""
BYTES_PER_TOKEN = 4
"""Of English text, with most vocabularies; other texts have fewer, and longer prompts thereby."""
TEMPLATE_TOKENS = 16
"""What a chat template adds to a question and a system prompt."""


@dataclass(frozen=True)
class Verdict:
    """Whether to repack, and why."""

    repack: bool
    reason: str
    """A sentence for the user."""


def for_one_answer(
    source: ModelFile, options: Options, text: str, *, features: frozenset[str] | None = None
) -> Verdict:
    """Return whether to repack the weights of `source` for one answer to `text`.

    `features` are those of the processor, as the kernel lists them; None: this one's.
    """
    if options.session:
        return Verdict(True, "weights are repacked: the conversation may be long")
    if platform.machine() not in MACHINES or UNMEASURED_FEATURE in (
        resources.cpu_features() if features is None else features
    ):
        return Verdict(True, "weights are repacked: this kind of processor was not measured")
    threads = options.threads_batch or options.threads or resources.physical_cores()
    least = break_even(source, threads)
    length = prompt_tokens(options, text)
    if length < least:
        return Verdict(
            False,
            f"weights are not repacked: it pays from about {least} tokens of prompt, "
            f"these are about {length} (--repack to insist)",
        )
    return Verdict(
        True,
        f"weights are repacked: the prompt has about {length} tokens, and it pays from about "
        f"{least} (--no-repack if not)",
    )


def break_even(source: ModelFile, threads: int) -> int:
    """Return the tokens of prompt that as many threads must read until repacking pays."""
    return round(TOKENS_PER_THREAD * threads * _idle_share(source.header))


def prompt_tokens(options: Options, text: str) -> int:
    """Return about how many tokens the prompt of one answer to `text` has."""
    texts = (text, options.system, options.json_schema)
    size = sum(len(part.encode("utf-8", "replace")) for part in texts)
    return size // BYTES_PER_TOKEN + TEMPLATE_TOKENS


def _idle_share(header: Header) -> float:
    """Return how many times the weights that a token needs all of them are: 1 without experts."""
    experts, used = (header.hyper(f"expert_{name}") for name in ("count", "used_count"))
    return experts / used if 0 < used < experts else 1
