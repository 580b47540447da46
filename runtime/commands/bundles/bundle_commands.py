"""Commands on bundles, shared by both command lines.

`modelembed COMMAND FILE` works on any bundle, `./chat COMMAND` on the executable itself.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime import __version__
from runtime.commands.bundles import about
from runtime.commands.bundles.given_path import PATH
from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.errors import PayloadError, UsageError
from runtime.host import atomic_write
from runtime.sanitize import plain

if TYPE_CHECKING:
    from runtime.commands.bundles.documents_change import Means
    from runtime.commands.bundles.edit import Change, Prewarmer
    from runtime.container.writer import Part

NONE = "none"
"""What --mmproj may name in place of a file."""
Command = Callable[..., None]
Signer = Callable[[Path], Callable[[bytes], str]]
"""Returns the function that signs a manifest, given the path of the secret key."""


@dataclass(frozen=True)
class BundlerHooks:
    """Signing and prewarming of a bundle to be written; only the bundler can do these."""

    sign: Callable[[bytes], str] | None = None
    prewarm: Prewarmer | None = None


def add(
    group: click.Group,
    *,
    own: bool,
    signer: Signer | None = None,
    prewarmer: Prewarmer | None = None,
    means: Callable[[], Means] | None = None,
) -> None:
    """Add the commands to `group`; they work on the program itself (`own`) or on a FILE argument.

    `signer` and `prewarmer` add options to sign and to prewarm the output of `edit` and `upgrade`;
    `means` gives what `edit` reads documents with.
    """

    def register(name: str, function: Command, *decorators: Callable[[Command], Command]) -> None:
        command = _on_own(function) if own else _on_file(function)
        command.__doc__ = function.__doc__
        for decorate in reversed(decorators):
            command = decorate(command)
        if not own:
            command = click.argument("file", type=PATH)(command)
        group.command(name=name)(command)

    output = click.option(
        "--output", "-o", type=PATH, metavar="PATH", help="write to PATH instead of replacing it"
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="print JSON")
    sign = click.option("--sign", "key", type=PATH, metavar="KEY", help="sign the result")
    prewarm = click.option(
        "--prewarm", is_flag=True, help="compute the system prompt again, as bundle --prewarm does"
    )
    further = [*([sign] if signer else []), *([prewarm] if prewarmer else [])]

    register("inspect", inspect, as_json)
    register("verify", verify, click.option(
        "--key", metavar="PUBKEY", help="require this signer: a public key file, or the key itself"
    ))  # fmt: skip
    register("extract", extract, click.argument("part", default="model"), click.option(
        "--output", "-o", type=PATH, metavar="FILE", help="write to FILE (default: the part's name)"
    ))  # fmt: skip

    def hooks(key: Path | None, prewarm: bool) -> BundlerHooks:
        return BundlerHooks(
            signer(key) if signer and key else None,
            prewarmer if prewarm else None,
        )

    def edit_it(
        bundle: Bundle, key: Path | None = None, prewarm: bool = False, **given: Any
    ) -> None:
        """Change defaults, name, licence, documents or other parts."""
        edit(bundle, given, hooks(key, prewarm), means)

    def upgrade_it(
        bundle: Bundle,
        stub: Path,
        output: Path | None,
        key: Path | None = None,
        prewarm: bool = False,
    ) -> None:
        """Replace the runtime, and keep model and defaults."""
        upgrade(bundle, stub, output, hooks(key, prewarm))

    register("edit", edit_it, *EDIT_OPTIONS, output, *further)
    stub = click.option(
        "--stub",
        type=PATH,
        required=True,
        metavar="NEW",
        help="a runtime made by modelembed stub -o NEW",
    )
    register("upgrade", upgrade_it, stub, output, *further)


def _on_own(function: Command) -> Command:
    @click.pass_obj
    def command(bundle: Bundle | None, /, **given: Any) -> None:
        function(required(bundle), **given)

    return command


def _on_file(function: Command) -> Command:
    def command(file: Path, **given: Any) -> None:
        with closing(bundle_file.load(file)) as bundle:
            function(bundle, **given)

    return command


def required(bundle: Bundle | None) -> Bundle:
    """Return `bundle`; raise UsageError if the program is not a bundle."""
    if bundle is None:
        raise UsageError(
            "this is not a bundled executable", hint="run it on one: OUT info, OUT verify …"
        )
    return bundle


def inspect(bundle: Bundle, as_json: bool) -> None:
    """Show parts, sizes, hashes, defaults and versions."""
    document = about.facts(bundle)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        for line in about.lines(document):
            click.echo(line)


def verify(bundle: Bundle, key: str | None) -> None:
    """Check every byte and the signature."""
    from runtime.commands.bundles import verify_extract

    for line in verify_extract.verify(bundle, key):
        click.echo(line, err=True)
    click.echo("intact")


def extract(bundle: Bundle, part: str, output: Path | None) -> None:
    """Write the original model, or another PART, to a file.

    PART is the name of a part, as inspect lists it, or manifest.
    """
    from runtime.commands.bundles import verify_extract

    click.echo(verify_extract.extract(bundle, part, output))


EDIT_OPTIONS = (
    click.option("--name", metavar="NAME", help="name of the program"),
    click.option("--system", metavar="TEXT|@FILE", help="replace the system prompt"),
    click.option("--greeting", metavar="TEXT|@FILE", help="replace the greeting"),
    click.option(
        "--set", "pairs", multiple=True, metavar="KEY=VALUE", help="bake in a default; repeatable"
    ),
    click.option("--unset", multiple=True, metavar="KEY", help="remove a default; repeatable"),
    click.option("--license", "license_name", metavar="TEXT", help="replace the model's licence"),
    click.option(
        "--lora",
        "add",
        multiple=True,
        metavar="FILE[=SCALE]",
        help="add a LoRA adapter; repeatable",
    ),
    click.option(
        "--remove",
        multiple=True,
        metavar="PART",
        help="remove a part other than the model; repeatable",
    ),
    click.option(
        "--mmproj",
        metavar="FILE|none",
        help="add or replace the projector, by which the model takes pictures or sound; none to "
        "remove it",
    ),
    click.option(
        "--docs", type=PATH, metavar="FOLDER", help="replace the documents by those of a folder"
    ),
    click.option(
        "--add-docs",
        type=PATH,
        metavar="FOLDER",
        help="add the documents of a folder, in place of those with the same paths in theirs",
    ),
    click.option(
        "--chunk",
        default="",
        metavar="max=N,min=N,overlap=N",
        help="sizes of the pieces that documents are cut into (default: max=400,min=40,overlap=60)",
    ),
)


def edit(
    bundle: Bundle,
    given: dict[str, Any],
    hooks: BundlerHooks,
    means: Callable[[], Means] | None = None,
) -> None:
    """Write `bundle` with the changes of the command-line options `given`."""
    from runtime.commands.bundles.edit import Change
    from runtime.container import lora_sections
    from runtime.options.registry import from_file, from_pairs, resolve_name

    defaults = from_pairs(given["pairs"])
    for key in ("system", "greeting"):
        if (text := given[key]) is not None:
            defaults[key] = from_file(key, text)
    change = Change(
        name=given["name"],
        defaults=defaults,
        unset=tuple(resolve_name(key) for key in given["unset"]),
        license=given["license_name"],
        add=lora_sections.from_words(given["add"]),
        remove=(*given["remove"], *_unwanted(bundle, given["mmproj"])),
        projector=Path(given["mmproj"]) if given["mmproj"] not in (None, NONE) else None,
        documents=_documents(bundle, given, means),
    )
    if change == Change() and hooks == BundlerHooks():
        raise UsageError(
            "there is nothing to change", hint='for example: edit --system "You are a pirate."'
        )
    _write(bundle, change, given["output"], hooks)


def _unwanted(bundle: Bundle, mmproj: str | None) -> tuple[str, ...]:
    """Return the names of parts that --mmproj none removes."""
    if mmproj != NONE:
        return ()
    if bundle.projector is None:
        raise UsageError(f"{bundle.path} has no projector to remove", hint="--mmproj FILE adds one")
    return (bundle.projector.name,)


def _documents(
    bundle: Bundle, given: dict[str, Any], means: Callable[[], Means] | None
) -> Part | None:
    """Return the documents that are to be put in, if any."""
    replacing, adding = given["docs"], given["add_docs"]
    if replacing and adding:
        raise UsageError(
            "--docs and --add-docs contradict each other", hint="leave out one of them"
        )
    folder = replacing or adding
    if not folder:
        if given["chunk"]:
            raise UsageError(
                "--chunk says how documents are cut, and there are none",
                hint="give them with --docs FOLDER or --add-docs FOLDER",
            )
        return None
    from runtime.commands.bundles import documents_change
    from runtime.documents.chunking import Chunking

    return documents_change.part(
        bundle,
        folder,
        Chunking.parse(given["chunk"]),
        add=bool(adding),
        means=means() if means else documents_change.Means(),
        say=lambda text: click.echo(plain(text), err=True),
    )


def upgrade(bundle: Bundle, stub: Path, output: Path | None, hooks: BundlerHooks) -> None:
    """Write `bundle` with the runtime of `stub`."""
    from runtime.commands.bundles.edit import Change

    with closing(bundle_file.load_runtime(stub)) as newer:
        _write(bundle, Change(stub=newer), output, hooks)


def _write(bundle: Bundle, change: Change, output: Path | None, hooks: BundlerHooks) -> None:
    from runtime.commands.bundles import edit
    from runtime.host.atomic_write import require_new

    if not bundle.footer.pkg_length:
        raise UsageError(
            f"{bundle.path} holds the parts of a program, and is none itself",
            hint="name the program that it lies beside; the parts fit it alone as they are",
        )
    target = output or Path(bundle.path).resolve()
    if output:
        require_new(output, force=False, hint=atomic_write.ELSEWHERE)
    edit.write_edited(
        bundle,
        target,
        change,
        tool=f"modelembed {__version__}",
        sign=hooks.sign,
        prewarm=hooks.prewarm,
        say=lambda text: click.echo(f"note: {plain(text)}", err=True),
    )
    if bundle.signature and hooks.sign is None:
        click.echo("warning: it is no longer signed, since it was changed", err=True)
    click.echo(f"wrote {target}", err=True)
    if output and bundle.manifest.sidecar is not None:
        _warn_missing_sidecar(bundle, output)


def _warn_missing_sidecar(bundle: Bundle, output: Path) -> None:
    """Warn if the program `output` does not find its sidecar, which was not copied."""
    try:
        bundle_file.load(output).close()
    except PayloadError as exc:
        parts = os.readlink(f"/proc/self/fd/{bundle.fd}")
        copy = shlex.join(["cp", parts, f"{output}{bundle_file.SIDECAR_SUFFIX}"])
        click.echo(f"warning: it does not run yet: {exc.problem}; {copy}", err=True)
