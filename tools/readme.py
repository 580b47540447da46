"""Put the live help texts into docs/options.md.

python tools/readme.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bundler.stub import builder

OPTIONS = Path(__file__).parent.parent / "docs" / "options.md"


def help_text(command: str) -> str:
    """Return what `command` prints, with the stub standing for ./chat."""
    name, *arguments = command.split()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "chat"
        program.symlink_to(builder.build(print))
        if name == "modelembed":
            program = Path(sys.executable).parent / "modelembed"
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "100"},
        ).stdout


def main() -> None:
    """Rewrite the help blocks in place."""
    text = re.sub(
        r"```console\n\$ ([^\n]+ --help)\n.*?```",
        lambda match: f"```console\n$ {match[1]}\n{help_text(match[1]).rstrip()}\n```",
        OPTIONS.read_text(),
        flags=re.S,
    )
    OPTIONS.write_text(text)


if __name__ == "__main__":
    main()
