"""Options `--gpu` and `--cuda-arch` of the commands that make something for a system."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from runtime.errors import UsageError

VULKAN, CUDA = "vulkan", "cuda"


def for_gpus(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command.

    It gets the architectures of NVIDIA's GPUs that its program uses by CUDA, as `architectures`;
    none where that is left out.
    """

    @functools.wraps(command)
    def with_architectures(*, gpu: str, cuda_arch: str | None, **others: Any) -> None:
        command(architectures=architectures(gpu, cuda_arch), **others)

    for option in (
        click.option(
            "--cuda-arch",
            metavar="LIST",
            help="architectures of NVIDIA's GPUs for --gpu cuda (default: 75,86,89,90)",
        ),
        click.option(
            "--gpu",
            type=click.Choice((VULKAN, CUDA)),
            default=VULKAN,
            show_default=True,
            metavar="vulkan|cuda",
            help="what GPUs are used by; cuda: NVIDIA's by CUDA, others by Vulkan (over 400 MB "
            "more, hours to compile)",
        ),
    ):
        with_architectures = option(with_architectures)
    return with_architectures


def architectures(gpu: str, named: str | None) -> tuple[str, ...]:
    """Return the architectures to compile for; raise UsageError if one is unknown."""
    if gpu != CUDA:
        if named is not None:
            raise UsageError("--cuda-arch is for --gpu cuda", hint="add that, or leave this out")
        return ()
    from bundler.stub import cuda_backend

    return cuda_backend.architectures(named)
