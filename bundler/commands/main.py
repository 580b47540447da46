"""The command line `modelembed`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundler.commands import bundle_steps, config_file, program_commands
from bundler.commands.finding_options import for_finding
from bundler.commands.gpu_option import for_gpus
from bundler.commands.projector_option import for_projector, projector_of
from bundler.commands.stub import rebuild_check, stub, supplied
from bundler.commands.target_option import for_target
from bundler.model import lint
from bundler.packing import bundle as bundling
from bundler.targets import Target
from runtime import __version__
from runtime.commands import click_base
from runtime.commands.bundles import bundle_commands
from runtime.commands.bundles.given_path import PATH
from runtime.commands.exit_status import exit_status_of
from runtime.container import lora_sections as lora
from runtime.documents import folder
from runtime.documents.chunking import Chunking
from runtime.errors import UsageError
from runtime.host.atomic_write import require_new
from runtime.host.std_streams import replace_closed_streams, say, use_utf8
from runtime.options import fallback, loading
from runtime.options.registry import from_file, from_pairs

if TYPE_CHECKING:
    from bundler.model.second_models import SecondModel
    from bundler.model.split_files import Opened
    from bundler.packing.signing import SecretKey
    from runtime.commands.bundles.documents_change import Means


def run() -> int:
    """Run the command line; return the exit code."""
    replace_closed_streams()
    use_utf8()
    return exit_status_of(
        lambda: main.main(standalone_mode=False),
        verbose=any(flag in sys.argv for flag in click_base.VERBOSE_FLAGS),
        interrupted="interrupted; nothing was left behind",
    )


@click.group(cls=program_commands.Group, context_settings={"help_option_names": ("-h", "--help")})
@click.version_option(__version__, prog_name="modelembed")
@click_base.verbose_option
def main() -> None:
    """Turn a GGUF language model into one executable file."""


@main.command()
@click.argument("model", type=PATH, required=False)
@click.option(
    "--output",
    "-o",
    type=PATH,
    metavar="PATH",
    help="write the executable to PATH (default: the model's file name)",
)
@click.option("--force", is_flag=True, help="replace PATH if it exists")
@click.option(
    "--compress",
    metavar="auto|max|none|N%",
    default="auto",
    show_default=True,
    help="auto: if that saves 10% or more; N%: if it saves N% or more; max: always; none: never",
)
@click.option("--system", metavar="TEXT|@FILE", help="bake in a system prompt")
@click.option("--name", metavar="NAME", help="name of the program (default: the model's name)")
@click.option(
    "--greeting", metavar="TEXT|@FILE", help="bake in a greeting, shown when a chat starts"
)
@click.option(
    "--chat-template",
    metavar="FILE|NAME",
    help="bake in a chat template instead of the model's own",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="bake in any runtime option, e.g. temp=0.2; repeatable",
)
@click.option(
    "--config", "config_path", type=PATH, metavar="FILE", help="read defaults from a JSON file"
)
@click.option(
    "--license",
    "license_name",
    metavar="TEXT",
    help="the model's licence, if the GGUF does not state it",
)
@click.option(
    "--lora",
    "adapters",
    multiple=True,
    metavar="FILE[=SCALE]",
    help="add a LoRA adapter; repeatable",
)
@for_projector
@click.option(
    "--docs", type=PATH, metavar="FOLDER", help="add the documents in a folder, to answer from them"
)
@click.option(
    "--chunk",
    metavar="max=N,min=N,overlap=N",
    default=str(Chunking()),
    show_default=True,
    help="sizes of the pieces that documents are cut into, in characters",
)
@for_finding
@click.option("--sidecar", is_flag=True, help="put the model into a second file, PATH.payload")
@click.option(
    "--prewarm",
    is_flag=True,
    help="compute the system prompt now, so that chats start faster",
)
@click.option("--cache", is_flag=True, help="let the program keep its model decompressed on disk")
@click.option(
    "--sign",
    "key_path",
    type=PATH,
    metavar="KEY",
    help="sign the executable with a minisign secret key",
)
@click.option(
    "--stub",
    "stub_path",
    type=PATH,
    metavar="PATH",
    help="use this runtime instead of building one",
)
@for_target
@for_gpus
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="run the result once, and report its time and memory",
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
    adapters: tuple[str, ...],
    mmproj: str | None,
    docs: Path | None,
    chunk: str,
    seconds: tuple[SecondModel, ...],
    sidecar: bool,
    prewarm: bool,
    cache: bool,
    key_path: Path | None,
    stub_path: Path | None,
    target: Target | None,
    architectures: Sequence[str],
    check: bool,
) -> None:
    """Make an executable from MODEL, a GGUF file."""
    for flag, chosen in (("--target", target), ("--gpu", architectures)):
        if stub_path and chosen:
            raise UsageError(
                f"--stub and {flag} both say what the program is for", hint="leave out one of them"
            )
    given = config_file.read(config_path) if config_path else config_file.Config()
    for warning in given.warnings:
        say(f"warning: {warning}")
    model = model or given.model
    if model is None:
        raise UsageError("there is no model to bundle", hint="modelembed bundle FILE.gguf -o OUT")
    defaults = {**given.defaults, **from_pairs(pairs)}
    texts = {"system": system, "greeting": greeting, "chat_template": chat_template}
    for key, value in texts.items():
        if value is not None:
            defaults[key] = from_file(key, value)
    if cache:
        defaults["cache"] = True
    if fallback.names_no_server(defaults):
        say(
            "warning: fallback_on_error is set, but no server is named (fallback.base_url and "
            "fallback.model): it is off"
        )
        del defaults["fallback_on_error"]
    elif problem := fallback.problem(defaults):
        raise UsageError(
            problem, hint="name the server and its model, or leave out fallback_on_error"
        )
    loading.require_possible(defaults)
    opened = lint.preflight(model)
    projector = projector_of(mmproj, given, opened[0], say)
    output = output or Path(model.name.removesuffix(".gguf"))
    if docs:
        folder.require(docs)  # before a runtime is compiled
    for path in bundling.modes(output, sidecar=sidecar):
        others = [second.opened for second in seconds]
        others += [projector.opened] if projector else []
        _require_other(path, [*opened, *others])
        require_new(path, force)
    defaults, files = _adapters(defaults, adapters)
    recipe = bundling.Recipe(
        name=name or given.name,
        license=license_name or given.license,
        threshold=bundling.threshold(compress),
        defaults=defaults,
        force=force,
        key=_key(key_path) if key_path else None,  # asks now, before it takes long
        adapters=files,
        projector=projector,
        seconds=seconds,
        sidecar=sidecar,
        prewarm=prewarm,
        docs=docs,
        chunking=Chunking.parse(chunk),
    )
    bundle_steps.make(
        opened, output, supplied(stub_path, target, architectures), recipe, say, check=check
    )


def _require_other(output: Path, opened: list[Opened]) -> None:
    """Raise UsageError where `output` is one of the model's own files."""
    with contextlib.suppress(OSError):  # that it cannot be looked at is said elsewhere
        found = output.stat()
        if any(os.path.samestat(found, os.fstat(part.fd)) for part in opened):
            raise UsageError(f"{output} is the model itself", hint="choose another name with -o")


def _adapters(
    defaults: Mapping[str, Any], words: Sequence[str]
) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Return `defaults` with the strengths that FILE[=SCALE] words give, and their files."""
    files = lora.from_words(words)
    names = [lora.part_name(path) for path in files]
    strengths = dict(zip(names, files.values(), strict=True))
    found = dict(defaults)
    if text := lora.text_of(strengths, names):
        found.setdefault("lora", text)
    lora.check_default(str(found.get("lora", "")), names)
    return found, tuple(files)


def _key(path: Path) -> SecretKey:
    """Return the secret key in the file `path`."""
    from bundler.packing.signing import SecretKey  # few bundles are signed

    return SecretKey.load(path)


def _means() -> Means:
    """Return what reads all documents."""
    from bundler.commands import finding_steps
    from bundler.documents.readers import READERS
    from runtime.commands.bundles.documents_change import Means

    return Means(READERS, lambda bundle: finding_steps.embedder_of(bundle, say))


for command in (stub, rebuild_check):
    main.add_command(command)
bundle_commands.add(
    main,
    own=False,
    signer=lambda path: bundling.signer(_key(path)),
    prewarmer=bundling.prewarmer,
    means=_means,
)
