"""CPython compiled for a target: a folder that can lie anywhere, with a shared libpython.

Of the standard library's C modules it has what stubs use: none for bz2, lzma, SQLite, readline,
curses, dbm or Tk. Nothing is said in it about the folders that it was made in.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.engine import archives
from bundler.engine.toolchain import BuildFailed, kept, key_of
from bundler.interpreter import compiler as compilers
from bundler.interpreter import libraries, sources
from bundler.interpreter.compiler import AR, CC, FLAGS, RANLIB, STRIPPED, Compiler, jobs
from bundler.targets import Target, here
from runtime.host import app_dirs

USUAL_MINUTES = 10
SERIES = sources.PYTHON.version.rpartition(".")[0]
PREFIX = "/python"
"""Where it believes that it is installed, until it finds its own standard library."""
# Calls inside libpython need no table of symbols that something else might define anew.
CFLAGS = f"{FLAGS} -fno-semantic-interposition"
# libffi's functions must call one another directly: on ARM, the way through a table of symbols uses
# the register in which a closure is handed over.
LDFLAGS = f"{STRIPPED} -Wl,-Bsymbolic"
LEFT_OUT = (
    "_bz2", "_lzma", "_sqlite3", "_tkinter", "_curses", "_curses_panel", "readline", "_gdbm",
    "_dbm", "_uuid", "nis",
)  # fmt: skip
OPTIONS = (
    "--enable-shared", "--without-static-libpython", "--without-ensurepip",
    "--disable-test-modules", "--without-readline", "--with-pkg-config=no",
    "--with-system-expat=no", "--with-system-libmpdec=no",
    *(f"py_cv_module_{name}=n/a" for name in LEFT_OUT),
    # What configure would find out by running a program, which another processor's cannot be.
    "ac_cv_file__dev_ptmx=yes", "ac_cv_file__dev_ptc=no", "ac_cv_buggy_getaddrinfo=no",
    "ac_cv_computed_gotos=yes",
)  # fmt: skip
MAKE = ("make", "PY3LIBRARY=")
"""Without libpython3.so, a library of nothing but a dependency: zig links no such thing."""
# One library is sooner unpacked and loaded than sixty.
MODULES = "static"
APART = "*shared*\n_ssl _ssl.c\n_hashlib _hashopenssl.c\n"
"""Modules that are files of their own all the same: OpenSSL's libraries come with them."""
UNUSED = ("idlelib", "tkinter", "turtledemo", "ensurepip", "pydoc_data", "test")
"""Folders of the standard library that stubs have no use for."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that was compiled here."""

    target: Target
    folder: Path

    @property
    def program(self) -> Path:
        """Return the path of the interpreter itself."""
        return self.folder / "bin" / f"python{SERIES}"

    @property
    def libraries(self) -> Path:
        """Return the folder of libpython and OpenSSL."""
        return self.folder / "lib"

    @property
    def standard_library(self) -> Path:
        """Return the folder of the standard library."""
        return self.libraries / f"python{SERIES}"

    @property
    def headers(self) -> Path:
        """Return the folder of Python.h."""
        return self.folder / "include" / f"python{SERIES}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what must be in the environment of its programs."""
        return {"LD_LIBRARY_PATH": str(self.libraries)}


def build(target: Target, say: Callable[[str], None]) -> Interpreter:
    """Return the Python for `target`, compiled now unless kept; raise BuildFailed."""
    builder = None if target.is_here else _builder(say)
    with tempfile.TemporaryDirectory(prefix="modelembed-python-") as name:
        scratch = Path(name)
        compiler = compilers.prepare(target, scratch)

        def make(folder: Path) -> None:
            say(
                f"python: compiling {sources.PYTHON.version} for {target.name}, glibc "
                f"{target.glibc}; usually {USUAL_MINUTES} minutes on 2 cores"
            )
            needed = libraries.build(compiler, scratch, say)
            _compile(compiler, scratch, needed, builder, folder)

        folder = f"{sources.PYTHON.name}-{sources.PYTHON.version}-{target.name}-{_key(compiler)}"
        return Interpreter(target, kept(app_dirs.cache() / "interpreters" / folder, make))


def identity(target: Target) -> str:
    """Return a hash of all that the Python for `target` depends on."""
    return _key(Compiler(target, Path()))


def _builder(say: Callable[[str], None]) -> Interpreter:
    """Return a Python of the same version that runs here, which another processor's is made by."""
    if (native := here()) is None:
        raise BuildFailed(f"no recipe for a Python on {platform.machine()}")
    return build(native, say)


def _key(compiler: Compiler) -> str:
    words = [sources.PYTHON.sha256, libraries.key(compiler), compiler.target.triple]
    words += [compiler.version, CFLAGS, LDFLAGS, *OPTIONS, *MAKE, MODULES, APART, *UNUSED]
    return key_of(*words, "1")


def _compile(
    compiler: Compiler,
    scratch: Path,
    needed: Sequence[Path],
    builder: Interpreter | None,
    folder: Path,
) -> None:
    """Configure, compile and install into `folder`."""
    tree = archives.unpack(sources.PYTHON, scratch)
    zlib, libffi, openssl = needed
    environment = {
        "CC": CC, "AR": AR, "RANLIB": RANLIB, "OPT": "-DNDEBUG -O3", "CFLAGS": CFLAGS,
        "LDFLAGS": LDFLAGS, "MODULE_BUILDTYPE": MODULES,
        "ZLIB_CFLAGS": f"-I{zlib}/include", "ZLIB_LIBS": f"{zlib}/lib/libz.a",
        "LIBFFI_CFLAGS": f"-I{libffi}/include", "LIBFFI_LIBS": f"{libffi}/lib/libffi.a",
    }  # fmt: skip
    options = [*OPTIONS, f"--prefix={PREFIX}", f"--with-openssl={openssl}"]
    if builder is None:  # it imports its modules while it is built, and leaves out what fails
        environment["LD_LIBRARY_PATH"] = f"{openssl}/lib"
    else:
        environment |= builder.environment
        options += [
            f"--build={builder.target.machine}-linux-gnu",
            f"--host={compiler.target.machine}-linux-gnu",
            f"--with-build-python={builder.program}",
        ]
    (tree / "Modules" / "Setup.local").write_text(APART)
    compiler.run(["./configure", *options], tree, environment)
    compiler.run([*MAKE, jobs()], tree, environment)
    installed = scratch / "installed"
    # Nothing of it is run before PyInstaller, which compiles what it needs itself.
    compiler.run(
        [*MAKE, "install", f"DESTDIR={installed}", "COMPILEALL_OPTS=-x ."], tree, environment
    )
    shutil.copytree(f"{installed}{PREFIX}", folder, symlinks=True, dirs_exist_ok=True)
    for library in (openssl / "lib").glob(f"*.so.{libraries.OPENSSL_ABI}"):
        shutil.copy2(library, folder / "lib")
    shutil.copy2(tree / "LICENSE", folder / "LICENSE.txt")
    made = Interpreter(compiler.target, folder)
    for name in UNUSED:
        shutil.rmtree(made.standard_library / name, ignore_errors=True)
    _forget(made.standard_library, [*needed, tree])
    if compiler.target.is_here:
        _prove(made)


def _forget(standard_library: Path, folders: Sequence[Path]) -> None:
    """Take the names of the building machine's folders out of what was recorded of the build."""
    recorded = [
        *standard_library.glob("_sysconfigdata*.py"),
        *standard_library.glob("config-*/Makefile"),
    ]
    for path in recorded:
        text = path.read_text(encoding="utf-8")
        for folder in folders:
            text = text.replace(str(folder), "/build")
        path.write_text(text, encoding="utf-8")


def _prove(made: Interpreter) -> None:
    """Import what depends on the libraries that were compiled with it, and call back from one."""
    code = (
        "import ctypes, decimal, ssl, zlib, hashlib, pyexpat; ssl.create_default_context(); "
        "assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: number + 1)(1) == 2"
    )
    command = [str(made.program), "-I", "-c", code]
    done = subprocess.run(
        command, env=dict(made.environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildFailed(f"the Python that was compiled does not work:\n{done.stderr.strip()}")
