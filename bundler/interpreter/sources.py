"""Sources of the interpreter and its libraries: what Debian compiles its packages from."""

from __future__ import annotations

from bundler.engine.archives import Archive

# 3.13 starts as fast as 3.11 did, and Debian 13 contains this archive until 2030; the newer ones
# of Debian's development release are gone from its mirrors within weeks.
PYTHON = Archive(
    "CPython",
    "3.13.5",
    "main/p/python3.13/python3.13_3.13.5.orig.tar.xz",
    "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
)
OPENSSL = Archive(  # supported by its makers until 2030
    "OpenSSL",
    "3.5.7",
    "main/o/openssl/openssl_3.5.7.orig.tar.gz",
    "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
)
LIBFFI = Archive(  # Debian's later archives lack `configure`: autoconf would be needed
    "libffi",
    "3.4.4",
    "main/libf/libffi/libffi_3.4.4.orig.tar.gz",
    "d66c56ad259a82cf2a9dfc408b32bf5da52371500b84745f7fb8b645712df676",
)
ZLIB = Archive(
    "zlib",
    "1.3.1",
    "main/z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
    "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
)
