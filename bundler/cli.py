"""The command line at build time: modelembed."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from bundler import bundle as bundling
from bundler import check, config, lint
from bundler.output import require_new
from runtime import __version__, payload
from runtime.errors import AppError, UsageError
from runtime.terminal import use_utf8

INTERRUPTED = 130


def run() -> int:
    """Run the command line; return the exit code. The only place that catches AppError."""
    use_utf8()
    try:
        main.main(standalone_mode=False)
    except AppError as exc:
        print(exc.render(), file=sys.stderr)
        return exc.exit_code
    except click.ClickException as exc:
        exc.show(sys.stderr)
        return exc.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("\ninterrupted; nothing was left behind", file=sys.stderr)
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """Tell the user what is going on."""
    print(text, file=sys.stderr, flush=True)


@click.group()
@click.version_option(__version__, prog_name="modelembed")
def main() -> None:
    """Turn a GGUF language model into one executable file."""


PATH = click.Path(path_type=Path)


@main.command()
@click.argument("model", type=PATH, required=False)
@click.option(
    "--output",
    "-o",
    type=PATH,
    metavar="PATH",
    help="write the executable to PATH (default: the model's name)",
)
@click.option("--force", is_flag=True, help="replace PATH if it exists")
@click.option(
    "--compress",
    type=click.Choice(["auto", "none", "zstd"]),
    default="auto",
    show_default=True,
    help="auto compresses where that saves a tenth or more",
)
@click.option("--system", metavar="TEXT|@FILE", help="bake in a system prompt")
@click.option("--name", metavar="NAME", help="what the program calls itself (default: the model)")
@click.option("--greeting", metavar="TEXT|@FILE", help="bake in what the chat says first")
@click.option("--chat-template", metavar="FILE|NAME", help="use this instead of the model's own")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="bake in any runtime option, e.g. temp=0.2; repeatable",
)
@click.option(
    "--config", "config_path", type=PATH, metavar="FILE", help="take defaults from a JSON file"
)
@click.option(
    "--license",
    "license_name",
    metavar="TEXT",
    help="the model's licence, if the file does not say",
)
@click.option(
    "--stub",
    "stub_path",
    type=PATH,
    metavar="PATH",
    help="use this runtime instead of building one",
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="run the result and report what it costs",
)
def bundle(
    model: Path | None,
    output: Path | None,
    force: bool,
    compress: str,
    system: str | None,
    name: str | None,
    greeting: str | None,
    chat_template: str | None,
    pairs: tuple[str, ...],
    config_path: Path | None,
    license_name: str | None,
    stub_path: Path | None,
    check: bool,
) -> None:
    """Make an executable out of MODEL, a GGUF file."""
    given = config.read(config_path) if config_path else config.Config()
    for warning in given.warnings:
        say(f"warning: {warning}")
    model = model or given.model
    if model is None:
        raise UsageError("there is no model to bundle", hint="modelembed bundle FILE.gguf -o OUT")
    defaults = {**given.defaults, **config.settings(pairs)}
    for key, value in (("system", system), ("greeting", greeting)):
        if value is not None:
            defaults[key] = _text(value)
    if chat_template is not None:
        defaults["chat_template"] = _template(chat_template)
    output = output or Path(model.name.removesuffix(".gguf"))
    if output.exists() and model.exists() and output.samefile(model):
        raise UsageError(f"{output} is the model itself", hint="choose another name with -o")
    require_new(output, force)
    _make(
        model, output, stub_path, check, defaults,
        name or given.name, license_name or given.license, compress, force,
    )  # fmt: skip


def _make(
    model: Path,
    output: Path,
    stub_path: Path | None,
    run_check: bool,
    defaults: dict[str, Any],
    name: str,
    license_name: str,
    compression: str,
    force: bool,
) -> None:
    """Lint, write, prove."""
    from bundler import stub as stubs

    opened = lint.preflight(model)
    runtime_path = stub_path or stubs.build(say)
    runtime = stubs.open_stub(runtime_path)
    here = stubs.runs_here(runtime)
    found = lint.examine(opened)
    for warning in found.warnings:
        say(f"warning: {warning}")
    if license_name:
        found.facts["license"] = license_name
    name = name or found.facts.get("name", "") or output.stem
    licence = found.facts.get("license", "not stated")
    say(f"model: {name}, {found.facts['architecture']}, licence: {licence}")
    recipe = bundling.Recipe(name, compression, defaults, force)
    with ThreadPoolExecutor(1) as pool:
        verdict = (
            pool.submit(lint.ask_engine, runtime_path, opened, defaults.get("chat_template", ""))
            if here
            else pool.submit(lint.Verdict)
        )
        bundling.make(output, runtime, found, verdict, recipe, say)
    say(f"wrote {output}")
    if run_check and here:
        for line in check.prove(output, found.source.size).lines():
            say(f"  {line}")
    elif run_check:
        say("not tested: the runtime is for another platform")
    say(f"run it: {output if output.is_absolute() else f'./{output}'}")


def _text(value: str) -> str:
    """Return a flag's text, read from a file where it is @FILE."""
    if not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}", hint="give a UTF-8 text file") from exc


def _template(value: str) -> str:
    """Return a template's text where `value` is a file, else the name that it is."""
    return _text(f"@{value}") if Path(value).is_file() else value


@main.command()
@click.option("--output", "-o", type=PATH, metavar="PATH", help="also copy it to PATH")
@click.option("--force", is_flag=True, help="build it anew even if the cache has it")
@click.option("--variants", type=PATH, hidden=True)
def stub(output: Path | None, force: bool, variants: Path | None) -> None:
    """Build the runtime without a model: a program that runs with -m FILE.gguf."""
    from bundler import stub as stubs
    from bundler.output import publish
    from bundler.source import Extent, Source

    if output:
        require_new(output, force)
    path = stubs.build(say, force=force, variants=variants)
    if output:
        with publish(output, force=force) as out, open(path, "rb") as source:
            Source([Extent(source.fileno(), 0, path.stat().st_size)]).copy_to(out)
        path = output
    click.echo(path)


@main.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def inspect(file: Path, as_json: bool) -> None:
    """Show what is in FILE, an executable made by modelembed."""
    from runtime import about

    document = about.facts(payload.load(file))
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        for line in about.lines(document):
            click.echo(line)


@main.command()
@click.argument("file", type=PATH)
def verify(file: Path) -> None:
    """Check every byte of the parts of FILE against what was bundled."""
    from runtime import parts

    parts.verify(payload.load(file))
    click.echo("intact")


@main.command()
@click.argument("file", type=PATH)
@click.argument("part", default="model")
@click.option("--output", "-o", type=PATH, metavar="PATH", help="where to write it")
def extract(file: Path, part: str, output: Path | None) -> None:
    """Write a PART (default: the model) of FILE as it was before bundling."""
    from runtime import parts

    click.echo(parts.extract(payload.load(file), part, output))
