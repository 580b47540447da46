"""`stub` and `rebuild-check`: commands about the runtime that programs are made with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bundler.commands.gpu_option import for_gpus
from bundler.commands.target_option import for_target
from bundler.targets import TARGETS, Target
from runtime.commands import click_base
from runtime.commands.bundles.given_path import PATH
from runtime.container import bundle_file
from runtime.errors import AppError
from runtime.host.atomic_write import require_new
from runtime.host.std_streams import say


def supplied(
    stub_path: Path | None, target: Target | None, architectures: Sequence[str] = ()
) -> Path:
    """Return the path of the runtime to use: the one given, or one for `target`."""
    if stub_path:
        return stub_path
    from bundler.stub import supply

    return supply.stub(say, target, architectures)


@click.command(cls=click_base.Command)
@click.option("--output", "-o", type=PATH, metavar="PATH", help="also copy it to PATH")
@click.option(
    "--force",
    is_flag=True,
    help="rebuild it (1 minute) even if it is cached, and replace PATH if it exists",
)
@for_target
@for_gpus
@click.option("--variants", type=PATH, hidden=True)
def stub(
    output: Path | None,
    force: bool,
    target: Target | None,
    architectures: Sequence[str],
    variants: Path | None,
) -> None:
    """Build the runtime without a model.

    The result is an executable that runs with -m FILE.gguf.
    """
    from runtime.container.extents import Extent, Extents
    from runtime.host.atomic_write import publish

    if output:
        require_new(output, force)
    if force or variants:
        from bundler.stub import builder

        path = builder.build(
            say, force=force, variants=variants, target=target, architectures=architectures
        )
    else:
        path = supplied(None, target, architectures)
    if output:
        with publish(output, force=force) as out, open(path, "rb") as source:
            Extents([Extent(source.fileno(), 0, path.stat().st_size)]).copy_to(out)
        path = output
    click.echo(path)


@click.command(cls=click_base.Command, name="rebuild-check")
@click.argument("file", type=PATH)
@click.argument("model", type=PATH, required=False)
@click.option(
    "--stub", "stub_path", type=PATH, metavar="PATH", help="the runtime that FILE was made with"
)
def rebuild_check(file: Path, model: Path | None, stub_path: Path | None) -> None:
    """Rebuild FILE and compare every byte.

    The model is MODEL, or the one inside FILE.
    """
    from bundler.packing import rebuild_check
    from bundler.stub import supply

    bundle = bundle_file.load(file)
    target = TARGETS.get(str(bundle.manifest.stub.get("platform")))
    by_cuda = bundle.manifest.stub.get("cuda")
    architectures = [*map(str, by_cuda)] if isinstance(by_cuda, list) else []
    runtime = supply.open_stub(supplied(stub_path, target, architectures))
    if differences := rebuild_check.check(bundle, runtime, model):
        raise AppError(
            f"{file} made again is another: " + "; ".join(differences),
            hint="another release, Python or engine makes another runtime: name the one that was "
            "used with --stub",
        )
    click.echo("the same bytes")
