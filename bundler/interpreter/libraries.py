"""The libraries that CPython's modules need: zlib, libffi and OpenSSL, compiled for a target.

Each lies in a folder of its own with `include` and `lib`. The first two become part of the one
module that uses them. OpenSSL's are libraries beside it: two modules share them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bundler.engine import archives
from bundler.engine.archives import Archive
from bundler.engine.toolchain import kept, key_of
from bundler.interpreter import sources
from bundler.interpreter.compiler import AR, CC, FLAGS, RANLIB, STRIPPED, Compiler, jobs
from runtime.host import app_dirs

# As a part of libpython that others do not see: extensions may bring another version along.
INSIDE = f"{FLAGS} -fPIC -fvisibility=hidden"
OPENSSL_ABI = "3"  # the end of its libraries' names
BUILDS = "3"
"""To be counted up with every change of how the libraries are built."""
# Where distributions of Linux keep the authorities that they trust.
OPENSSLDIR = "/etc/ssl"
# What no server of today speaks, and what else nothing here calls: smaller, sooner compiled.
OPENSSL_OPTIONS = (
    "shared", "no-apps", "no-tests", "no-docs", "no-legacy", "no-module", "no-engine", "no-dso",
    "no-ssl3", "no-dtls", "no-comp", "no-zlib", "no-srp", "no-quic", "no-ct", "no-ts", "no-cmp",
    "no-rfc3779", "no-aria", "no-bf", "no-camellia", "no-cast", "no-gost", "no-idea", "no-md4",
    "no-mdc2", "no-rc2", "no-rc4", "no-rmd160", "no-seed", "no-sm2", "no-sm3", "no-sm4",
    "no-whirlpool", "no-ml-dsa", "no-slh-dsa", "no-uplink", "no-ssl-trace",
)  # fmt: skip

Maker = Callable[[Compiler, Path, Path], None]
"""Compiles unpacked sources and fills a folder with the result."""


def build(compiler: Compiler, scratch: Path, say: Callable[[str], None]) -> list[Path]:
    """Return the folders of all libraries, compiled now unless kept."""
    makers = ((sources.ZLIB, _zlib), (sources.LIBFFI, _libffi), (sources.OPENSSL, _openssl))
    return [_built(source, maker, compiler, scratch, say) for source, maker in makers]


def zlib(compiler: Compiler, scratch: Path, say: Callable[[str], None]) -> Path:
    """Return zlib's folder, compiled now unless kept."""
    return _built(sources.ZLIB, _zlib, compiler, scratch, say)


def key(compiler: Compiler) -> str:
    """Return a hash of all that the libraries depend on."""
    used = (sources.ZLIB, sources.LIBFFI, sources.OPENSSL)
    return key_of(*(_key(source, compiler) for source in used))


def _key(source: Archive, compiler: Compiler) -> str:
    words = [source.sha256, compiler.target.triple, compiler.version, INSIDE, STRIPPED]
    if source == sources.OPENSSL:
        words += [OPENSSLDIR, *OPENSSL_OPTIONS]
    return key_of(*words, BUILDS)


def _built(
    source: Archive, maker: Maker, compiler: Compiler, scratch: Path, say: Callable[[str], None]
) -> Path:
    def make(target: Path) -> None:
        say(f"python: compiling {source.name} {source.version} for {compiler.target.name}")
        maker(compiler, archives.unpack(source, scratch), target)

    name = f"{source.name}-{source.version}-{compiler.target.name}-{_key(source, compiler)}"
    return kept(app_dirs.cache() / "interpreters" / name, make)


def _zlib(compiler: Compiler, tree: Path, target: Path) -> None:
    environment = {"CC": CC, "AR": AR, "RANLIB": RANLIB, "CFLAGS": INSIDE}
    # Its uname: otherwise it looks at the building machine.
    compiler.run(["./configure", "--static", "--uname=Linux", "--prefix=/"], tree, environment)
    compiler.run(["make", jobs(), "libz.a"], tree)
    compiler.run(["make", "install-libs", f"DESTDIR={target}"], tree)
    (target / "include").mkdir()
    for name in ("zlib.h", "zconf.h"):
        shutil.copy2(tree / name, target / "include")


def _libffi(compiler: Compiler, tree: Path, target: Path) -> None:
    # It calls a function of its own that no header of it declares.
    flags = f"{INSIDE} -Wno-implicit-function-declaration"
    environment = {"CC": CC, "AR": AR, "RANLIB": RANLIB, "CFLAGS": flags}
    host = f"{compiler.target.machine}-{compiler.target.system}-gnu"
    options = ["--disable-shared", "--enable-static", "--with-pic", "--disable-docs", "--prefix=/"]
    options += ["--disable-multi-os-directory", "--libdir=/lib", "--includedir=/include"]
    compiler.run(["./configure", f"--host={host}", *options], tree, environment)
    compiler.run(["make", jobs()], tree)
    compiler.run(["make", "install", f"DESTDIR={target}"], tree)


def _openssl(compiler: Compiler, tree: Path, target: Path) -> None:
    system = f"{compiler.target.system}-{compiler.target.machine}"
    where = ["--prefix=/", "--libdir=lib", f"--openssldir={OPENSSLDIR}"]
    tools = [f"CC={CC}", f"AR={AR}", f"RANLIB={RANLIB}", f"CFLAGS={FLAGS}", f"LDFLAGS={STRIPPED}"]
    compiler.run(["perl", "Configure", system, *where, *OPENSSL_OPTIONS, *tools], tree)
    # Not "build_libs": that compiles every file once more, for static libraries.
    compiler.run(["make", jobs(), "build_generated"], tree)
    names = ("libcrypto.so", "libssl.so")
    compiler.run(["make", jobs(), *names], tree)
    headers, made = target / "include" / "openssl", target / "lib"
    headers.mkdir(parents=True)
    made.mkdir()
    for header in (tree / "include" / "openssl").glob("*.h"):
        shutil.copy2(header, headers)
    for name in names:
        library = f"{name}.{OPENSSL_ABI}"
        shutil.copy2(tree / library, made)
        (made / name).symlink_to(library)
