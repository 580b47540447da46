"""`chat`: a chat, or the answer to one question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from runtime.commands import click_base
from runtime.commands.click_options import (
    chat_options,
    escape_option,
    model_options,
    read_escapes,
)
from runtime.commands.option_precedence import is_set, merged_options
from runtime.container.bundle_file import Bundle
from runtime.errors import UsageError
from runtime.host.desktop import double_clicked
from runtime.host.std_streams import piped_text
from runtime.options.serving import server_defaults


@click.command(cls=click_base.Command)
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

        given_media = ((options.image, "picture"), (options.audio, "sound"))
        media = [
            (name, files.read_file(name, kind)) for names, kind in given_media for name in names
        ]
    mode = terminal.Raw(raw, escape, display_prompt)
    chosen = is_set("repack", bundle, given, model)
    terminal.run(
        terminal.Task(
            bundle, options, asked, interactive, model, embedded, report, mode, media, not chosen
        )
    )
