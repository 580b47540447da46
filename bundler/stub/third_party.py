"""Third-party code inside a stub, and its licences."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DISTRIBUTIONS = (
    "llama-cpp-python", "zstandard", "click", "prompt_toolkit", "wcwidth",
    "typing_extensions", "xxhash", "pynacl", "cffi", "pygments", "pyinstaller", "modelembed",
    "starlette", "uvicorn", "h11", "anyio", "msgspec", "httpx", "httpcore", "certifi", "idna",
    "python-multipart", "jsonschema", "jsonschema-specifications", "referencing", "attrs",
    *(["exceptiongroup"] if sys.version_info < (3, 11) else []),  # built in since
)  # fmt: skip
"""Python packages whose code is inside every stub; nothing else that is installed gets in."""

PYTHON = "Python"
OWN = "modelembed"
NVIDIA = "NVIDIA CUDA runtime, cuBLAS and CCCL"
LIBRARIES = {
    "libpython": PYTHON,
    "libcrypto": "OpenSSL",
    "libssl": "OpenSSL",
    "libz": "zlib",
    "libffi": "libffi",
    "libuuid": "libuuid of util-linux",
    "libexpat": "Expat",
    "libmpdec": "Software incorporated into Python",
    "libggml-vulkan": "Vulkan-Headers and Vulkan-Hpp",
    "libggml-cuda": NVIDIA,
    "libcudart": NVIDIA,
    "libcublas": NVIDIA,
    "libcublasLt": NVIDIA,
    "libggml": "llama.cpp and ggml",
    "libllama": "llama.cpp and ggml",
    "libomp": "LLVM libc++, libc++abi, libunwind, compiler-rt and OpenMP",
    "libweights": OWN,
    "libsandbox": OWN,
    "libsearch": OWN,
    "libchat": "JSON for Modern C++",
    "libmtmd": "stb_image, miniaudio and rotate-bits",
}
"""Shared libraries, by the start of their names, and the entry that has their licence."""
WITHIN = {
    "zstandard": "Zstandard (libzstd)",
    "xxhash": "xxHash",
    "nacl": "libsodium",
    "pyexpat": "Expat",
    "_decimal": "Software incorporated into Python",
    "_ctypes": "libffi",
    "llama_cpp": "llama.cpp and ggml",
}
"""Modules with a library of somebody else's compiled in, and the entry that has its licence."""
DATA = {
    "bootstrap_hook": OWN,
    "page": OWN,
    "probe": OWN,
    "licenses.json": OWN,
    ".modelembed.lock": OWN,
}
"""What is run before all else, and what is neither module nor library; below `page/vendor` every
folder has its licence itself."""
LAUNCHER = ("pyi", "struct", "__main__", "PYZ")
"""How the names of PyInstaller's own parts begin, and of the script that it starts."""

TEXTS = Path(__file__).parent / "licenses"
VENDORED = Path("runtime", "page", "vendor")
"""Libraries that the page brings along; `packages.json` lists them, each folder has a licence."""


def foreign() -> list[str]:
    """Return the modules of installed packages that must not get into a stub.

    Some libraries use others where they find them. What is installed beside ours must make no
    difference: it has no place in the licences, and the same stub must come out everywhere.
    """
    ours = {normal(name) for name in DISTRIBUTIONS}
    kept: set[str] = {*sys.stdlib_module_names, "runtime"}
    others: set[str] = set()
    for found in importlib.metadata.distributions():
        name = found.metadata["Name"]
        (kept if name and normal(name) in ours else others).update(_modules(found))
    return sorted(others - kept)


def unlicensed(program: Path, root: Path) -> list[str]:
    """Return what is in `program` that none of its licences covers; `root` has our code."""
    known = {entry["name"] for entry in json.loads(_archive(program).extract("licenses.json"))}
    found = owners(contents(program), root)
    return sorted(entry for entry, names in found.items() if not names or names - known)


def contents(program: Path) -> set[str]:
    """Return the files that PyInstaller has put into `program`, and the modules, by their tops."""
    archive = _archive(program)
    modules = archive.open_embedded_archive("PYZ.pyz").toc
    return {*archive.toc, *(name.partition(".")[0] for name in modules)}


def _archive(program: Path) -> Any:
    """Return what reads the archive in `program`."""
    from PyInstaller.archive.readers import CArchiveReader

    return CArchiveReader(str(program))


def owners(entries: Iterable[str], root: Path) -> dict[str, set[str]]:
    """Return for each path or module of a stub the entries of `licenses` that cover it.

    What nobody is known to own gets none.
    """
    modules = {
        module: name
        for name in DISTRIBUTIONS
        for module in _modules(importlib.metadata.distribution(name))
    }
    vendored = {package["folder"]: package["name"] for package in _vendored(root)}
    return {entry: set(_owners(entry, modules, vendored)) for entry in entries}


def _owners(entry: str, modules: dict[str, str], vendored: dict[str, str]) -> Iterator[str]:
    parts = entry.split("/")
    file = parts[-1]
    library = next((name for name in LIBRARIES if re.match(rf"{name}[-.\d]", file)), "")
    if library and ".so" in file:
        yield LIBRARIES[library]
        return
    # Below lib-dynload are the standard library's modules, each in a file of its own.
    module = (file if "lib-dynload" in parts else parts[0]).split(".")[0]
    if module in WITHIN:
        yield WITHIN[module]
    if metadata := re.match(r"(.+)-[^-]+\.dist-info$", parts[0]):
        yield next((n for n in DISTRIBUTIONS if normal(n) == normal(metadata[1])), "")
    elif parts[:2] == ["page", "vendor"] and len(parts) > 3:
        yield vendored.get(parts[2], "")
    elif parts[0] in DATA:
        yield DATA[parts[0]]
    elif module == "runtime":
        yield OWN
    elif entry.startswith(LAUNCHER):
        yield "pyinstaller"
    elif "lib-dynload" in parts or module in {*sys.stdlib_module_names, "base_library"}:
        yield PYTHON
    elif module in modules:
        yield modules[module]


def _modules(distribution: importlib.metadata.Distribution) -> set[str]:
    """Return the modules and packages that a distribution has put at the top."""
    tops = {Path(file).parts[0] for file in distribution.files or ()}
    return {
        inspect.getmodulename(top) or top
        for top in tops
        if re.fullmatch(r"\w+(\.[\w.-]+)?", top) and not top.endswith(("-info", ".pth", ".data"))
    }


def normal(name: str) -> str:
    """Return a distribution's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def own_texts() -> list[Path]:
    """Return the files of our own licence."""
    return [Path(str(file.locate())) for file in _texts(importlib.metadata.distribution(OWN))]


def _texts(distribution: importlib.metadata.Distribution) -> list[importlib.metadata.PackagePath]:
    """Return the files of a distribution that say on what terms it may be passed on."""
    return [
        file
        for file in distribution.files or ()
        if re.match(r"(LICEN[SC]E|COPYING|NOTICE|AUTHORS)", file.name, re.I)
        and ".dist-info" in str(file)
    ]


def licenses(root: Path) -> Iterator[dict[str, str]]:
    """Yield name, version, licence and its text for everything shipped; `root` has our code."""
    for name in DISTRIBUTIONS:
        distribution = importlib.metadata.distribution(name)
        meta = distribution.metadata.json
        text = "\n\n".join(file.read_text(encoding="utf-8") for file in _texts(distribution))
        license_name = str(meta.get("license_expression") or meta.get("license") or "")
        yield {
            "name": name,
            "version": distribution.version,
            "license": license_name.splitlines()[0] if license_name else "see below",
            "text": text or license_name,
        }
    for package in _vendored(root):
        texts = sorted((root / VENDORED / package["folder"]).glob("LICENSE*"))
        yield {
            "name": package["name"],
            "version": package["version"],
            "license": package["license"],
            "text": "\n\n".join(file.read_text(encoding="utf-8") for file in texts),
        }
    for path in sorted(TEXTS.glob("*.txt")):
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        name, _, license_name = head.partition(": ")
        yield {"name": name, "version": "", "license": license_name, "text": text.strip()}
    python_license = Path(sys.base_prefix) / "LICENSE.txt"
    candidates = [python_license, Path(os.__file__).parent / "LICENSE.txt"]
    text = next((c.read_text(errors="replace") for c in candidates if c.exists()), "")
    yield {
        "name": PYTHON,
        "version": platform.python_version(),
        "license": "PSF-2.0",
        "text": text or "See https://docs.python.org/3/license.html",
    }


def _vendored(root: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((root / VENDORED / "packages.json").read_text())
    return found
