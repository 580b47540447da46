"""Where the files lie that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DEMO = ROOT / "models" / "demo.gguf"
FACTS = ROOT / "models" / "demo.facts.json"
EYE = ROOT / "models" / "eye" / "mmproj-demo.gguf"
