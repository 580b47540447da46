"""GPU: answers on Mesa's lavapipe, a program that stands for one, against the processor's."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.load import answer_to
from benchmarks.measure import BenchmarkError
from benchmarks.report import Row
from benchmarks.rows.serve import DEMO, FACTS, serving
from benchmarks.servers import served

DRIVER = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")
EACH = 17
"""Every so many questions, one is asked."""
SECONDS = 600
"""For the server to start: the driver compiles all that is to be computed."""


def measure(lab: Lab) -> list[Row]:
    """Ask two servers the same questions, and count the answers that are the same."""
    if not DRIVER.exists():
        raise BenchmarkError(f"there is no {DRIVER}: install mesa-vulkan-drivers and libvulkan1")
    questions = [fact["question"] for fact in json.loads(FACTS.read_text())["questions"]]
    asked = questions[:: EACH * (20 if lab.small else 1)]
    program = [*serving(lab, lab.bundle(DEMO)), "--temp", "0"]
    device = ["env", f"VK_DRIVER_FILES={DRIVER}", f"VK_ICD_FILENAMES={DRIVER}", *program]
    with served([*program, "-ngl", "0"]) as port:
        expected = [answer_to(port, question) for question in asked]
    with served([*device, "--device", "llvmpipe"], seconds=SECONDS) as port:
        if "llvmpipe" not in devices_of(port):
            raise BenchmarkError("the server does not use lavapipe")
        found = [answer_to(port, question) for question in asked]
    same = sum(one == other for one, other in zip(expected, found, strict=True))
    note = f"{len(asked)} of {len(questions):,} questions, temperature 0"
    return [
        Row("answers of lavapipe that are the processor's", "answers", (same,), (len(asked),),
            "processor", 1.0, at_least=True, note=note)
    ]  # fmt: skip


def devices_of(port: int) -> str:
    """Return where the layers of a server's model are."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/props", timeout=60) as response:
        return str(json.load(response)["modelembed"]["devices"])
