"""What these scripts take from those in tools/demo, whose modules import one another by name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "demo"))  # last: some names are in both folders

import gguf_file
from conversation import Conversation
from muon import Muon
from network import Network, Shape, normalize, rotation_table
from turns import Turn, hurried

__all__ = [
    "Conversation",
    "Muon",
    "Network",
    "Shape",
    "Turn",
    "gguf_file",
    "hurried",
    "normalize",
    "rotation_table",
]
