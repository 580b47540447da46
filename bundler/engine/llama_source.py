"""Source tree of llama.cpp, from the source distribution that the engine is compiled from.

What is compiled of it besides the engine is so of the same commit.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from bundler.engine.toolchain import BuildFailed, kept, key_of
from bundler.engine.wheels import VERSION
from runtime.host import app_dirs

VENDORED = f"llama_cpp_python-{VERSION}/vendor/llama.cpp"
KEPT = (
    "common/", "include/", "ggml/include/", "vendor/nlohmann/", "models/templates/", "LICENSE",
    "src/llama-grammar.cpp", "src/llama-grammar.h", "src/llama-impl.h", "src/llama-sampler.h",
    "src/llama-vocab.h", "src/llama-ext.h",
    "ggml/src/ggml-rpc/", "ggml/src/ggml-vulkan/", "ggml/src/ggml-cuda/",
    "ggml/src/ggml-impl.h", "ggml/src/ggml-common.h", "ggml/src/ggml-backend-impl.h",
    "tools/mtmd/", "vendor/hash/", "vendor/miniaudio/", "vendor/stb/",
)  # fmt: skip
"""What is kept of the source distribution; the templates are for tests."""


def source(say: Callable[[str], None] = print) -> Path:
    """Return llama.cpp's source tree as the engine is compiled from it, the parts in KEPT."""

    def fetch(target: Path) -> None:
        say(f"engine: fetching the source of llama-cpp-python {VERSION}; usually half a minute")
        with tempfile.TemporaryDirectory(prefix="modelembed-source-") as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--no-binary", "llama-cpp-python"]
            command += ["--dest", folder, f"llama-cpp-python=={VERSION}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            archive = next(Path(folder).glob("*.tar.gz"), None)
            if done.returncode or archive is None:
                tail = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
                raise BuildFailed(
                    f"pip cannot fetch the source of llama-cpp-python {VERSION} ({tail[0]})"
                )
            with tarfile.open(archive) as tar:
                for member in tar:
                    inner = member.name.removeprefix(f"{VENDORED}/")
                    if member.isfile() and inner != member.name and inner.startswith(KEPT):
                        member.name = inner
                        tar.extract(member, target, filter="data")

    return kept(app_dirs.cache() / "sources" / f"llama-cpp-python-{VERSION}-{key_of(*KEPT)}", fetch)
