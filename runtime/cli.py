"""The command line of a produced executable."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime import about, payload
from runtime.errors import AppError, UsageError
from runtime.options import FIELDS, Options, kind
from runtime.payload import Bundle
from runtime.terminal import interrupt_once, piped_text, use_utf8

if TYPE_CHECKING:
    pass

INTERRUPTED = 130
GO_STYLE = re.compile(r"-{1,2}([A-Za-z][\w-]*)=(.*)", re.S)
TRUE, FALSE = ("true", "1", "t"), ("false", "0", "f")
TEXT_FLAGS = ("-p", "--prompt", "-sys", "--system", "--system-prompt", "--greeting")
COLOR_FLAGS = ("-co", "--color")  # llama.cpp takes them bare, too
COLOR_VALUES = (["auto"], ["on"], ["off"])


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code. The only place that catches AppError."""
    use_utf8()
    interrupt_once()
    try:
        bundle = payload.own()
        main.main(
            args=normalised(arguments),
            prog_name=Path(sys.argv[0]).name,
            obj=bundle,
            standalone_mode=False,
        )
    except AppError as exc:
        print(exc.render(), file=sys.stderr)
        return exc.exit_code
    except click.ClickException as exc:
        exc.show(sys.stderr)
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has had enough; the interpreter must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        print(
            "error: the memory ran out\n\nhint: close other programs, or try a smaller "
            "context with -c",
            file=sys.stderr,
        )
        return 1
    except Exception as exc:
        if "-v" in arguments or "--verbose" in arguments:
            raise
        print(
            f"error: something unexpected happened: {type(exc).__name__}: {exc}\n\n"
            "hint: this is a bug; the same command with -v shows where, please report that",
            file=sys.stderr,
        )
        return 1
    return 0


def normalised(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` with Go's spellings (-embedded, -i=false, -n=5) in click's."""
    result: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[index:]]
        text = index and arguments[index - 1] in TEXT_FLAGS  # what follows is free text
        match = None if text else GO_STYLE.fullmatch(argument)
        if argument == "-embedded":
            result.append("--embedded")
        elif match and match[1] in ("i", "embedded", "interactive"):
            name = {"i": "interactive"}.get(match[1], match[1])
            value = match[2].lower()
            if value not in TRUE + FALSE:
                raise UsageError(f"'{argument}' is neither true nor false")
            result.append(f"--{name}" if value in TRUE else f"--no-{name}")
        elif match and not argument.startswith("--"):
            result += [f"-{match[1]}", match[2]]
        elif argument in COLOR_FLAGS and arguments[index + 1 : index + 2] not in COLOR_VALUES:
            result += [argument, "on"]
        else:
            result.append(argument)
    return result


class DefaultGroup(click.Group):
    """A group that takes its `chat` command when no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `chat` unless a command, --help or --version comes first."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "--version")):
            args = ["chat", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show that the command is optional."""
        formatter.write_usage(ctx.command_path, "[chat] [OPTIONS] [QUESTION]…")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of `chat`, which apply without naming it."""
        chat = self.commands["chat"]
        with click.Context(chat, info_name="chat") as inner:
            chat.format_options(inner, formatter)
        self.format_commands(ctx, formatter)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(about.version_line())
        ctx.exit()


@click.group(cls=DefaultGroup, add_help_option=True)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="show the version",
)  # fmt: skip
def main() -> None:
    """Talk with a language model that lies inside this very file.

    Without a question, and on a terminal, this is a chat. With a question, as words or piped in,
    the answer is printed and nothing else.
    """


def runtime_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a click option for every runtime option; what is not given stays None."""
    for item in reversed(FIELDS.values()):
        meta = item.metadata
        default = item.default
        unsaid = default in ("", None) or kind(item) in (bool, tuple)
        shown = "" if unsaid else f" (default: {default})"
        arguments: dict[str, Any] = {"default": None, "help": meta["help"] + shown}
        declarations = [item.name, *meta["flags"]]
        if kind(item) is bool:
            long = next(flag for flag in meta["flags"] if flag.startswith("--"))
            others = [flag for flag in meta["flags"] if flag != long]
            declarations = [item.name, f"{long}/--no-{long[2:]}", *others]
        elif meta["choices"]:
            arguments["type"] = click.Choice(meta["choices"])
        elif kind(item) is tuple:
            arguments |= {"multiple": True, "metavar": meta["metavar"]}
        else:
            arguments |= {"type": kind(item), "metavar": meta["metavar"]}
        command = click.option(*declarations, **arguments)(command)
    return command


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the choice of the model."""
    command = click.option(
        "--embedded/--no-embedded", default=None, help="insist on the model inside this file"
    )(command)
    return click.option(
        "--model", "-m", type=click.Path(path_type=Path), metavar="FILE",
        help="use this model: a GGUF, or another file made by modelembed",
    )(command)  # fmt: skip


@main.command()
@click.argument("question", nargs=-1)
@click.option("--prompt", "-p", metavar="TEXT", help="the question, instead of as words")
@click.option(
    "--interactive/--no-interactive", "-i/--no-i", default=None,
    help="chat, also after a question (default: without a question on a terminal)",
)  # fmt: skip
@model_options
@runtime_options
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE",
              help="write what the run cost to FILE, as JSON")  # fmt: skip
@click.pass_obj
def chat(
    bundle: Bundle | None,
    /,
    question: tuple[str, ...],
    prompt: str | None,
    interactive: bool | None,
    model: Path | None,
    embedded: bool | None,
    report: Path | None,
    **given: Any,
) -> None:
    """Chat, or answer one question (the default command)."""
    options = settled(bundle, given)
    parts = [part for part in (" ".join(question), prompt or "") if part]
    ask_first = "\n\n".join(parts)
    if not interactive and (piped := piped_text()).strip():
        ask_first = f"{ask_first}\n\n{piped}" if ask_first else piped
    if interactive is None:
        interactive = not ask_first and sys.stdin.isatty()
    if not interactive and not ask_first.strip():
        raise UsageError(
            "there is no question",
            hint='give one: as words, with -p "TEXT", or piped in; -i chats without a terminal',
        )
    from runtime import talk

    talk.run(bundle, options, ask_first, interactive, model, embedded, report)


def settled(bundle: Bundle | None, given: dict[str, Any]) -> Options:
    """Return the options: built in, then baked in, then given; the last one wins."""
    options = Options()
    if bundle:
        options = options.merged(bundle.manifest.defaults, "baked-in ")
    chosen = {key: value for key, value in given.items() if value not in (None, ())}
    if text := chosen.get("chat_template"):
        chosen["chat_template"] = template_text(text)
    for key in ("system", "greeting", "grammar", "json_schema"):
        if (text := chosen.get(key, "")).startswith("@"):
            chosen[key] = read_text(Path(text[1:]))
    return options.merged(chosen, "--")


def template_text(value: str) -> str:
    """Return a template's text: `value` itself, or what the file of that name holds."""
    path = Path(value)
    if "{" not in value and path.is_file():
        return read_text(path)
    return value


def read_text(path: Path) -> str:
    """Return the text in `path`; raise UsageError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}", hint="give a UTF-8 text file") from exc


@main.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_obj
def info(bundle: Bundle | None, as_json: bool) -> None:
    """Show what is in this file."""
    document = about.facts(_required(bundle))
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        for line in about.lines(document):
            click.echo(line)


@main.command()
@click.pass_obj
def licenses(bundle: Bundle | None) -> None:
    """Show the licences of the model and of everything shipped with it."""
    click.echo_via_pager(f"{line}\n" for line in about.licenses(bundle))


@main.command()
@click.pass_obj
def verify(bundle: Bundle | None) -> None:
    """Check every byte of the model against what was bundled."""
    from runtime import parts

    parts.verify(_required(bundle))
    click.echo("intact")


@main.command()
@click.argument("part", default="model")
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE",
              help="where to write it (default: its own name)")  # fmt: skip
@click.pass_obj
def extract(bundle: Bundle | None, part: str, output: Path | None) -> None:
    """Write a part (default: the model) to a file, as it was before bundling."""
    from runtime import parts

    click.echo(parts.extract(_required(bundle), part, output))


@main.command(hidden=True)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--chat-template", default="")
def probe(model: Path, chat_template: str) -> None:
    """Ask the engine about a model: read by `bundle`, as JSON on stdout."""
    from runtime.inspection import probe_model

    click.echo(json.dumps(probe_model(model, chat_template)))


def _required(bundle: Bundle | None) -> Bundle:
    if bundle is None:
        raise UsageError(
            "this is not a bundled executable", hint="run it on one: OUT info, OUT verify …"
        )
    return bundle
