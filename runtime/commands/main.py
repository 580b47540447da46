"""Command line of a produced executable."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from runtime.commands import click_base
from runtime.commands.argument_rewrites import normalized
from runtime.commands.bundles import about, bundle_commands
from runtime.commands.click_options import (
    chat_options,
    escape_option,
    model_options,
    options_named,
    read_escapes,
    server_options,
    tool_options,
)
from runtime.commands.exit_status import Failed, exit_status_of
from runtime.commands.option_precedence import is_set, merged_options
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import CacheError, UsageError
from runtime.host.desktop import double_clicked
from runtime.host.interrupts import raise_on_first_interrupt
from runtime.host.std_streams import notify, piped_text, replace_closed_streams, use_utf8
from runtime.options.serving import server_defaults

HELP_FLAGS = ("-h", "--help")
TYPO_SIMILARITY = 0.75
"""Smallest similarity (difflib ratio) of a word and a command's name to be taken for a typo."""


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


class DefaultGroup(click_base.Group):
    """A group that runs its `chat` command if no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `chat` unless the first argument is a command, --help or --version."""
        if not args or (args[0] not in self.commands and args[0] not in (*HELP_FLAGS, "--version")):
            self._note_possible_typo(args)
            args = ["chat", *args]
        return super().parse_args(ctx, args)

    def _note_possible_typo(self, args: list[str]) -> None:
        """Note on stderr that a one-word question may be a mistyped command."""
        if not args or args[0].startswith("-") or (args[1:] and not args[1].startswith("-")):
            return
        named = [name for name, command in self.commands.items() if not command.hidden]
        for close in difflib.get_close_matches(args[0], named, 1, TYPO_SIMILARITY):
            click.echo(
                f"note: '{args[0]}' is taken as a question; did you mean the command {close}?",
                err=True,
            )

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage lines in which the command is optional."""
        formatter.write_usage(ctx.command_path, "[chat] [OPTIONS] [QUESTION]…")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of `chat`, which also apply without naming it, and the commands."""
        chat = self.commands["chat"]
        with click.Context(chat, ctx, info_name="chat") as inner:
            chat.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
        own = [record for option in self.params if (record := option.get_help_record(ctx))]
        with formatter.section("Of the program"):
            formatter.write_dl(own)


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
@click.argument("question", nargs=-1)
@click.option("--prompt", "-p", metavar="TEXT", help="the question, if not given as words")
@click.option(
    "--interactive/--no-interactive", "-i/--no-i", default=None,
    help="chat, even after a question (default: if a terminal and no question)",
)  # fmt: skip
@click.option(
    "--raw/--no-raw", "--no-conversation/--conversation", "-no-cnv/-cnv", default=None,
    help="continue the text as it is, without the chat template (default: if the model has none, "
    "or the text has turns written out)",
)  # fmt: skip
@escape_option("a raw text and in --reverse-prompt")
@click.option(
    "--display-prompt/--no-display-prompt", default=None,
    help="show a raw text before what continues it (default: with --raw, or in colour)",
)  # fmt: skip
@model_options
@chat_options
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="write time and memory of the run to FILE as JSON; overwrites only an earlier report",
)
@click.pass_obj
def chat(
    bundle: Bundle | None,
    /,
    question: tuple[str, ...],
    prompt: str | None,
    interactive: bool | None,
    raw: bool | None,
    escape: bool,
    display_prompt: bool | None,
    model: Path | None,
    embedded: bool | None,
    report: Path | None,
    **given: Any,
) -> None:
    """Chat, or answer one question (the default command)."""
    if not question and prompt is None and interactive is None and double_clicked():
        from runtime.server import main as server

        options = merged_options(bundle, given, model, server_defaults)
        server.run(bundle, options, model, embedded, on_desktop=True)
        return
    options = merged_options(bundle, read_escapes(given) if escape else given, model)
    from runtime.terminal import main as terminal

    typed = "\n\n".join(part for part in (" ".join(question), prompt or "") if part)
    piped = "" if interactive else piped_text()
    asked = terminal.Question(typed, piped if piped.strip() else "")
    if interactive is None:
        interactive = not asked.text and raw is None and sys.stdin.isatty()
    if interactive and raw:
        raise UsageError("a chat needs the chat template", hint="leave out --raw, or -i")
    if not interactive and not asked.text.strip():
        raise UsageError(
            "there is no question",
            hint='give one: as words, with -p "TEXT", or piped in; -i chats without a terminal',
        )
    media = []
    if options.image or options.audio:
        from runtime.media import files  # most questions are about texts alone

        media = [(name, files.read_file(name)) for name in (*options.image, *options.audio)]
    mode = terminal.Raw(raw, escape, display_prompt)
    chosen = is_set("repack", bundle, given, model)
    terminal.run(
        terminal.Task(
            bundle, options, asked, interactive, model, embedded, report, mode, media, not chosen
        )
    )


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


@main.group(name="cache")
def cache_group() -> None:
    """List or clear what --cache keeps: models, and indexes of documents."""


@cache_group.command(name="list")
@click.option("--check", is_flag=True, help="read all of them, and check their hashes")
def cache_list(check: bool) -> None:
    """List what is cached, most recently used first."""
    import time

    from runtime.host.progress_bar import progress
    from runtime.retrieval import index_cache
    from runtime.units import counted, gigabytes
    from runtime.weights import model_cache

    kept, leftovers = model_cache.entries(), model_cache.leftovers()
    damaged = False
    for entry in [*kept, *leftovers]:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        state = "" if entry.finished else "  unfinished, of no use"
        if check and entry.finished:
            with progress(f"checking {gigabytes(entry.size)}") as update:
                intact = model_cache.is_intact(entry, update)
            state = "  intact" if intact else "  DAMAGED"
            damaged |= not intact
        click.echo(f"{gigabytes(entry.size):>10}  used {used}  {entry.path}{state}")
    indexes = index_cache.entries()
    for index in indexes:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(index.used))
        click.echo(f"{gigabytes(index.size):>10}  used {used}  {index.path}")
    sizes = [entry.size for entry in [*kept, *leftovers]] + [index.size for index in indexes]
    total = gigabytes(sum(sizes))
    found = [counted(len(kept), "model")] if kept else []
    found += [counted(len(indexes), "index of documents")] if len(indexes) == 1 else []
    found += [f"{len(indexes)} indexes of documents"] if len(indexes) > 1 else []
    found += [counted(len(leftovers), "leftover")] if leftovers else []
    click.echo(f"{total:>10}  in {' and '.join(found)}" if found else "nothing is kept")
    if damaged:
        raise CacheError("a kept model is damaged", hint="delete it: cache clear")


@cache_group.command(name="clear")
def cache_clear() -> None:
    """Delete what is cached, and leftovers of killed runs."""
    from runtime.retrieval import index_cache
    from runtime.units import counted, gigabytes
    from runtime.weights import model_cache

    gone, indexes = model_cache.clear(), index_cache.clear()
    size = gigabytes(sum([entry.size for entry in gone] + [index.size for index in indexes]))
    models = sum(entry.finished for entry in gone)
    rest = f" and {counted(len(gone) - models, 'leftover')}" if models < len(gone) else ""
    rest += f" and what was indexed of {counted(len(indexes), 'folder')}" if indexes else ""
    click.echo(f"deleted {counted(models, 'model')}{rest}, {size}")


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
        failed |= finding.state == examination.FAIL
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


@main.command(hidden=True)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--chat-template", default="")
def probe(model: Path, chat_template: str) -> None:
    """Ask the engine about a model and print JSON; run by `bundle` in a child process."""
    from runtime.commands.model_probe import probe_model

    for found in probe_model(model, chat_template):
        click.echo(json.dumps(found))


@main.command(hidden=True)
@click.argument("kind", type=click.Choice(("embedder", "reranker")))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--form", default="")
def prove(kind: str, model: Path, form: str) -> None:
    """Rank pairs of sentences by a second model and print JSON; run by `bundle`."""
    from runtime.retrieval.proving import probe as trying

    for found in trying.prove(kind, model, form):
        click.echo(json.dumps(found))


@main.command(hidden=True)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--form", default="")
def embed(model: Path, form: str) -> None:
    """Read texts from stdin as JSON, print their vectors; run by `bundle --docs`."""
    from runtime.retrieval.proving import probe as trying

    for found in trying.embed(model, form, sys.stdin):
        click.echo(json.dumps(found))


@main.command(hidden=True)
@click.argument("draft", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def prewarm(draft: Path, out: Path) -> None:
    """Write the state of the tokens that every conversation with DRAFT begins with to OUT.

    Run by `bundle --prewarm`. Reads the defaults from stdin, as JSON; prints progress to stdout,
    one line per step.
    """
    from runtime.dialogue.loaded_model import LoadedModel
    from runtime.model.model_file import from_bundle
    from runtime.options.registry import Options

    def tell(done: int, total: int) -> None:
        click.echo(f"{done} {total}")

    options = Options().merged(json.load(sys.stdin), "baked-in ")
    loaded = LoadedModel(
        from_bundle(bundle_file.load(draft)), options, lambda text: click.echo(text, err=True)
    )
    try:
        with open(out, "wb") as file:
            loaded.compute_prefix(file, tell)
    finally:
        loaded.close()


bundle_commands.add(main, own=True)
