"""Write all hostile files to a folder: python tests/attacks FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from attacks import ALL

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, attack in ALL.items():
    attack.build(folder / name)
print(f"{len(ALL)} hostile files in {folder}")
