"""Random damage to untrusted input; `make fuzz` runs it for a given time."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest has them there already; `python -m fuzz` and the child have not.
for folder in (Path(__file__).parents[2], Path(__file__).parents[1] / "support"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
