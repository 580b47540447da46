"""Command line of a produced executable."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from runtime.commands import cache, child_commands, click_base
from runtime.commands.argument_rewrites import normalized
from runtime.commands.bundles import about, bundle_commands
from runtime.commands.chat import chat
from runtime.commands.click_base import HELP_FLAGS, DefaultGroup
from runtime.commands.click_options import (
    escape_option,
    model_options,
    options_named,
    read_escapes,
    server_options,
    tool_options,
)
from runtime.commands.exit_status import Failed, exit_status_of
from runtime.commands.option_precedence import merged_options
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.host.interrupts import raise_on_first_interrupt
from runtime.host.std_streams import notify, replace_closed_streams, use_utf8
from runtime.options.serving import server_defaults


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    replace_closed_streams()
    use_utf8()
    raise_on_first_interrupt()
    return exit_status_of(
        lambda: main.main(
            args=normalized(arguments),
            prog_name=Path(sys.argv[0]).name,
            obj=bundle_file.own(),
            standalone_mode=False,
        ),
        verbose=any(flag in arguments for flag in click_base.VERBOSE_FLAGS),
    )


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(about.version_line())
        ctx.exit()


@click.group(cls=DefaultGroup, context_settings={"help_option_names": HELP_FLAGS})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="show the version",
)  # fmt: skip
@click.option(
    "--no-keep", is_flag=True, expose_value=False,  # read by the first stage
    help="unpack the program for this run only, and keep nothing of it",
)  # fmt: skip
def main() -> None:
    """Chat with the language model inside this file.

    On a terminal and without a question, this starts a chat. With a question, as words or piped
    in, it prints only the answer.
    """


@main.command()
@click.option("--open", "browser", is_flag=True, help="open the chat page in the browser")
@click.option("--no-api-key", "unguarded", is_flag=True,
              help="accept requests from other machines without a key")  # fmt: skip
@escape_option("--reverse-prompt")
@model_options
@server_options
@click.pass_obj
def serve(
    bundle: Bundle | None,
    /,
    browser: bool,
    unguarded: bool,
    escape: bool,
    model: Path | None,
    embedded: bool | None,
    **given: Any,
) -> None:
    """Serve a chat page, and APIs for many clients."""
    given = read_escapes(given) if escape else given
    options = merged_options(bundle, given, model, server_defaults)
    from runtime.server import main as server

    server.run(bundle, options, model, embedded, unguarded=unguarded, browser=browser)


@main.command()
@escape_option("--reverse-prompt")
@model_options
@tool_options
@click.pass_obj
def mcp(
    bundle: Bundle | None,
    /,
    escape: bool,
    model: Path | None,
    embedded: bool | None,
    **given: Any,
) -> None:
    """Serve the model as a tool of agents (MCP over stdio)."""
    options = merged_options(bundle, read_escapes(given) if escape else given, model)
    from runtime.mcp import main as tools

    tools.run(bundle, options, model, embedded)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def info(bundle: Bundle | None, as_json: bool) -> None:
    """Show parts, sizes, hashes, defaults and versions."""
    bundle_commands.inspect(bundle_commands.required(bundle), as_json)


@main.command()
@click.pass_obj
def licenses(bundle: Bundle | None) -> None:
    """Show the licences of the model and of all components."""
    click.echo_via_pager(f"{line}\n" for line in about.licenses(bundle))


@main.command()
@model_options
@click.option(
    "--n-prompt",
    "-p",
    default=512,
    metavar="N",
    type=click.IntRange(0, 1 << 20),
    help="prompt tokens to read (default: 512)",
)
@click.option(
    "--n-gen",
    "-n",
    default=128,
    metavar="N",
    type=click.IntRange(0, 1 << 20),
    help="answer tokens to generate (default: 128)",
)
@click.option(
    "--repetitions",
    "-r",
    default=5,
    metavar="N",
    type=click.IntRange(1, 1000),
    help="repetitions of each measurement (default: 5)",
)
@options_named(
    "threads", "threads_batch", "batch_size", "gpu_layers", "device", "main_gpu", "split_mode",
    "tensor_split", "cache_type_k", "cache_type_v", "flash_attn", "rpc", "rpc_timeout", "repack",
    "mmap", "memfd", "fit", "cpu", "verbose"
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="print JSON in llama-bench's format")
@click.pass_obj
def bench(
    bundle: Bundle | None,
    /,
    n_prompt: int,
    n_gen: int,
    repetitions: int,
    model: Path | None,
    embedded: bool | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Measure tokens per second, like llama-bench."""
    from runtime.commands import bench as measuring
    from runtime.model.model_file import choose

    measuring.run(
        choose(bundle, model, embedded),
        merged_options(bundle, given, model),
        prompt=n_prompt,
        answer=n_gen,
        repetitions=repetitions,
        as_json=as_json,
        notify=notify,
    )


@main.command()
@model_options
@click.option("--verify/--no-verify", default=True, help="also check every byte of the payload")
@options_named(
    "ctx_size", "batch_size", "threads", "gpu_layers", "device", "main_gpu", "split_mode",
    "tensor_split", "rpc", "repack", "memfd", "fit", "mmproj", "mmproj_auto", "cpu", "sandbox",
    "verbose"
)  # fmt: skip
@click.pass_context
def doctor(
    context: click.Context,
    /,
    model: Path | None,
    embedded: bool | None,
    verify: bool,
    **given: Any,
) -> None:
    """Find problems with this machine or file, and remedies."""
    from runtime.commands import doctor as examination
    from runtime.commands.checks.finding import FAIL
    from runtime.model.model_file import choose

    bundle: Bundle | None = context.obj
    failed = False
    for finding in examination.examine(
        bundle,
        lambda: choose(bundle, model, embedded),
        merged_options(bundle, given, model),
        verify=verify,
    ):
        click.echo(finding.line())
        failed |= finding.state == FAIL
    if failed:
        raise Failed


@main.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", "-n", default=5, metavar="N", type=click.IntRange(1, 100),
              help="passages to show at most (default: 5)")  # fmt: skip
@options_named("docs", "chunk", "cache", "threads", "cpu", "sandbox", "verbose")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def search(
    bundle: Bundle | None, /, words: tuple[str, ...], limit: int, as_json: bool, **given: Any
) -> None:
    """Find passages in the documents.

    WORDS are a question, or a few words of it. They may have kind:NAME, path:NAME, after:2024-05
    and before:2025 among them, which limit what is found.
    """
    from runtime.commands import search as searching

    searching.run(
        bundle, merged_options(bundle, given, None), " ".join(words), limit, as_json=as_json
    )


@main.command()
@click.option("--host", "-H", default="127.0.0.1", metavar="ADDRESS",
              help="IPv4 address to listen on (default: 127.0.0.1, for itself)")  # fmt: skip
@click.option("--port", default=50052, metavar="N", type=click.IntRange(0, 65535),
              help="port to listen on, 0 for any free port (default: 50052)")  # fmt: skip
@click.option("--memory", metavar="GB", type=click.FloatRange(0, min_open=True),
              help="memory to offer (default: nine tenths of what is free)")  # fmt: skip
@click.option("--cache/--no-cache", help="keep large tensors on disk; no model is sent twice")
@click.option("--cache-size", default=20.0, metavar="GB", type=click.FloatRange(0, min_open=True),
              help="maximum total size of those tensors (default: 20.0)")  # fmt: skip
@click.option("--i-trust-this-network", "trusted", is_flag=True,
              help="listen where other machines can reach it: there are no passwords")  # fmt: skip
@options_named("threads", "device", "verbose")
def worker(
    host: str,
    port: int,
    memory: float | None,
    cache: bool,
    cache_size: float,
    trusted: bool,
    threads: int | None,
    device: str | None,
    verbose: bool | None,
) -> None:
    """Let other machines compute on this one, see --rpc."""
    from runtime.commands import worker as serving

    serving.run(
        host,
        port,
        memory=memory,
        threads=threads or 0,
        cache=cache_size if cache else 0,
        trusted=trusted,
        device=device or "",
        verbose=bool(verbose),
    )


for command in (chat, cache.cache, *child_commands.ALL):
    main.add_command(command)
bundle_commands.add(main, own=True)
