"""Fetch the page's libraries from npm, as runtime/page/vendor/packages.json lists them.

python tools/vendor.py           write them anew
python tools/vendor.py --check   only compare: nothing may differ

To update one: put the new version and its integrity (`npm view NAME dist.integrity`) into the list
and run this. Files are taken as published; of the icons, those named become one file of symbols.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parent.parent / "runtime" / "page" / "vendor"
PACKED = "package"
"""The folder that all files of an npm package lie in."""


def fetch(package: dict[str, Any], folder: Path) -> tarfile.TarFile:
    """Return the package's archive, its hash checked."""
    name = f"{package['name']}@{package['version']}"
    command = ["npm", "pack", "--silent", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {name} could not be fetched:\n{done.stderr}")
    archive = folder / done.stdout.split()[-1]
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{found}" != package["integrity"]:
        sys.exit(f"error: {name} is sha512-{found}, expected {package['integrity']}")
    return tarfile.open(archive)


def files(package: dict[str, Any], archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file that the page takes from a package."""

    def read(path: str) -> bytes:
        member = archive.extractfile(f"{PACKED}/{path}")
        assert member is not None, path
        return member.read()

    for source, target in package["files"].items():
        yield target, read(source)
    if icons := package.get("icons"):
        yield "icons.svg", sprite({name: read(f"icons/{name}.svg").decode() for name in icons})


def sprite(icons: dict[str, str]) -> bytes:
    """Return one SVG in which each icon is a symbol, to be shown by `use`."""
    lines = ['<svg xmlns="http://www.w3.org/2000/svg">']
    for name, icon in icons.items():
        shapes = re.findall(r"<(?:path|circle|rect|line|polyline|polygon|ellipse) [^>]*/>", icon)
        lines.append(f'<symbol id="{name}" viewBox="0 0 24 24">{"".join(shapes)}</symbol>')
    return "\n".join([*lines, "</svg>", ""]).encode()


def main() -> int:
    """Write or compare every file; return 1 when one differs."""
    check = sys.argv[1:] == ["--check"]
    differ = []
    with tempfile.TemporaryDirectory() as scratch:
        for package in json.loads((VENDOR / "packages.json").read_text()):
            with fetch(package, Path(scratch)) as archive:
                for name, content in files(package, archive):
                    path = VENDOR / package["folder"] / name
                    if check and (not path.exists() or path.read_bytes() != content):
                        differ.append(str(path))
                    elif not check:
                        path.parent.mkdir(exist_ok=True)
                        path.write_bytes(content)
    for path in differ:
        print(f"error: {path} is not what was published", file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
