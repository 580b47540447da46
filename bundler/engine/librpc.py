"""Build libggml-rpc: ggml's backend for devices of other machines, and its server.

It is compiled from the engine's own source distribution, so that both are of the same commit, and
linked with the engine's libggml-base, so that there is one registry of backends. What is put into
ggml's source, and why, is in runtime/devices/cpp.

Uses nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bundler.engine.compilation import Insertions, run, unpack_libraries, with_insertions
from bundler.engine.llama_source import source
from bundler.engine.toolchain import Toolchain, kept, key_of
from bundler.engine.wheels import VERSION
from runtime.host import app_dirs

NAME = "libggml-rpc.so"
OWN = Path(__file__).parents[2] / "runtime" / "devices" / "cpp"
UNITS = ("session.cpp", "sockets.cpp")
"""Each includes one of ggml's two."""
FOLDER = "ggml/src/ggml-rpc"
INSERTIONS: Insertions = {
    "ggml-rpc.cpp": [
        (
            "#define RPC_STATUS_ASSERT(x) if (!(x)) "
            'GGML_ABORT("Remote RPC server crashed or returned malformed response")\n',
            '#include "ours.h"\n',
        ),
        (
            "void rpc_dispatcher::start(const std::string & endpoint) {\n",
            "serving(this, endpoint);\n",
        ),
        ("void rpc_dispatcher::work() {\n", "serving(this);\n"),
        # A file that was cut off, or that somebody has changed, would be part of the model.
        (
            "    ifs.read((char *)data.data(), size);\n",
            "if (!ifs || fnv_hash(data.data(), size) != hash) { return false; }\n",
        ),
        (
            "    const void * data = input.data() + header_size;\n",
            "if (cache_flag && !may_keep(size)) { cache_flag = 0; }\n",
        ),
    ],
    "transport.cpp": [("    addr.sin_family = AF_INET;\n", "set_patience(sockfd);\n")],
    "transport.h": [
        (
            "    static socket_ptr connect(const char * host, int port);\n",
            "static socket_ptr adopt(int fd);\n",
        )
    ],
}
"""What is put behind a line of ggml's."""
FLAGS = (
    "-std=c++17", "-O3", "-DNDEBUG", "-D_GNU_SOURCE", "-DGGML_BACKEND_DL", "-DGGML_BACKEND_BUILD",
    "-DGGML_BACKEND_SHARED", "-DGGML_SHARED", "-fPIC", "-fvisibility=hidden",
    "-fvisibility-inlines-hidden", "-fno-sanitize=undefined", "-w",
)  # fmt: skip
LINK_FLAGS = ("-shared", "-s", "-Wl,-rpath,$ORIGIN")


def build_rpc(toolchain: Toolchain, wheel: Path, say: Callable[[str], None] = print) -> Path:
    """Return libggml-rpc.so, for the libraries in the engine's `wheel`; made now unless kept."""
    own = sorted(OWN.iterdir())
    words = [VERSION, *toolchain.words, *(file.read_text() for file in own)]
    key = key_of(*words, *FLAGS, str(INSERTIONS), *LINK_FLAGS, wheel.parent.name)

    def make(target: Path) -> None:
        tree = source(say)
        say(f"engine: compiling {NAME} with {toolchain.name}; usually half a minute")
        with tempfile.TemporaryDirectory(prefix="modelembed-rpc-") as folder:
            scratch = Path(folder)
            for file in own:
                shutil.copy2(file, scratch)
            for name, insertions in INSERTIONS.items():
                with_insertions(tree / FOLDER / name, insertions, scratch)
            includes = [f"-I{tree / inner}" for inner in ("ggml/src", "ggml/include")]
            units = [str(scratch / name) for name in UNITS]
            libraries = unpack_libraries(wheel, scratch)
            command = [toolchain.cxx, *FLAGS, *LINK_FLAGS, *includes, "-o", str(target / NAME)]
            run([*command, *units, f"-L{libraries}", "-lggml-base"], NAME)

    folder = app_dirs.cache() / "librpc" / f"{VERSION}-{toolchain.name}-{key}"
    return kept(folder, make) / NAME
