"""The engine on the demo model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parent.parent / "models" / "demo.gguf"

# In a process of its own: what is looked for is a program that hangs.
STORM = """
import signal, sys
from pathlib import Path
from runtime import cpu, llama, model
from runtime.engine import Engine
from runtime.options import Options

folder = llama.library_folder()
llama.load_variant(folder / f"{cpu.PREFIX}{cpu.BASELINE}{cpu.SUFFIX}")
llama.start()
source = model.open_source(Path(sys.argv[1]))
loaded = model.Model(source, source.fd, source.offset, Options())
engine = Engine(loaded, Options(temp=0.0, n_predict=30), 256)
stream = engine.submit(loaded.tokenize("Tell", beginning=True))
signal.signal(signal.SIGALRM, lambda *_: stream.cancel())
for _ in range(20):
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.00005)
    stream = engine.submit(loaded.tokenize("Tell me a story.", beginning=True))
    list(stream)
    signal.setitimer(signal.ITIMER_REAL, 0)
text = "".join(piece.text for piece in engine.submit(loaded.tokenize("Tell", beginning=True)))
engine.close()
print(text and "alive")
"""


def test_a_signal_that_cancels_may_hit_one_that_does() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STORM, DEMO], capture_output=True, text=True, timeout=60, check=False
    )

    assert "alive\n" == done.stdout, done.stderr
