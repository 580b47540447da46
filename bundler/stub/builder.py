"""Build the stub, the runtime as an executable without a model; cached by a hash of its inputs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bundler
import runtime
from bundler.engine import wheels
from bundler.engine.gpus import cuda
from bundler.engine.libraries import libraries
from bundler.engine.toolchain import BuildFailed
from bundler.engine.wheels import GPU_BACKEND
from bundler.stub import (
    compressed_libraries,
    cuda_backend,
    floor,
    stub_cache,
    stub_parts,
    stub_python,
    third_party,
)
from bundler.stub.stub_python import StubPython
from bundler.targets import TARGETS, Target, here
from runtime import __version__
from runtime.container.layout import Manifest
from runtime.container.writer import Stub, write_bundle
from runtime.errors import AppError
from runtime.host import app_dirs, library_paths, unpack_dir
from runtime.host.atomic_write import publish
from runtime.host.library_paths import MEDIA
from runtime.model import variant_files
from runtime.options import builtin_templates

USUAL_SECONDS = 45
COMPILED = ("llama-cpp-python", "zstandard")
"""Distributions that are compiled here: there are several builds of one version."""
RESUMED = "with the reason gone, the same command goes on where it stopped"

STEPS = {
    "Analysis": "finding what the runtime needs",
    "PYZ": "packing its modules",
    "PKG": "packing its libraries",
    "EXE": "putting it together",
}
"""PyInstaller's targets, for people."""


def build(
    say: Callable[[str], None],
    *,
    force: bool = False,
    variants: Path | None = None,
    target: Target | None = None,
    architectures: Sequence[str] = (),
) -> Path:
    """Return the path of the stub for `target`, built now unless the cache has it.

    Without a target it is this machine's. `architectures` are those of NVIDIA's GPUs that it uses
    by CUDA. `variants` is a folder of further CPU variant libraries to put in, and of a backend for
    GPUs in the place of the engine's, for tests.
    """
    target = target or _native()
    extra = sorted(variants.glob("*.so")) if variants else []
    problems = []
    for plan in stub_python.plans(target, again=force):
        identity = _identity(extra, plan.key, architectures)
        path = stub_cache.path_of(f"{__version__}-{identity}")
        if os.path.exists(path) and not force:
            stub_cache.note_use(path)
            say("stub: from the cache")
            return path
        stub_cache.require_writable()
        cuda_backend.require_compiler(target, architectures)
        try:
            python = plan.prepared(say)
        except BuildFailed as exc:
            problems.append(str(exc))
            continue
        if problems:
            say(f"warning: the stub will need this machine's glibc or a newer one: {problems[0]}")
        with tempfile.TemporaryDirectory(prefix="modelembed-stub-") as scratch:
            try:
                stub = _made(python, extra, architectures, identity, Path(scratch), say)
            except BuildFailed as exc:
                raise AppError(str(exc), hint=RESUMED) from exc
            with publish(path, force=True) as out:
                write_bundle(out, stub, [], lambda: Manifest(tool=f"modelembed {__version__}"))
        say(f"stub: {path.stat().st_size / 1e6:.1f} MB")
        stub_cache.evict()
        return path
    raise AppError(f"there is no Python for {target.name}: {problems[0]}", hint=RESUMED)


def _made(
    python: StubPython,
    extra: list[Path],
    architectures: Sequence[str],
    identity: str,
    work: Path,
    say: Callable[[str], None],
) -> Stub:
    """Build a stub; `work` is an empty folder."""
    from bundler.stub import cpu_probe

    target, here_libraries = python.target, engine_folder()
    say(f"stub: building the runtime; usually {USUAL_SECONDS} seconds")
    engine = here_libraries if target.is_here else libraries(target, say)
    chosen = work / "engine"
    chosen.mkdir()
    for library in engine.glob("lib*.so"):
        if library.name not in (GPU_BACKEND, MEDIA):
            shutil.copy2(library, chosen)
    data = work / "data"
    cpu_probe.write(data / "probe", here_libraries, identity)
    for name, failure in cpu_probe.prove(data / "probe", chosen, say, target).items():
        say(f"stub: leaving out CPU variant {name}: {failure}")
        (chosen / f"{variant_files.PREFIX}{name}{variant_files.SUFFIX}").unlink()
    for library in extra:
        if library.name != GPU_BACKEND:
            shutil.copy2(library, chosen)
    gpus, further = [], []
    if architectures:
        made = cuda.build_cuda(target, architectures, engine, say)
        further.append(cuda_backend.put(made, data, say))
        gpus.append("cuda")
    gpu = next((library for library in extra if library.name == GPU_BACKEND), engine / GPU_BACKEND)
    if gpu.exists():
        compressed_libraries.put(gpu, data, say)
        gpus.append("vulkan")
    compressed_libraries.put(engine / MEDIA, data, say)
    root = stub_python.stage(_root(), work / "source")
    licenses = [*python.licenses(root), *further]
    (data / "licenses.json").write_text(json.dumps(licenses, indent=1))
    (data / unpack_dir.MARKER).write_text("held while the program runs\n")
    frozen = _freeze(work, chosen, data, python, root, say)
    for entry in python.unlicensed(root, frozen):
        say(f"warning: {entry} gets in, and is not among the licences: ask its makers first")
    image = python.retargeted(frozen.read_bytes())
    held = python.is_compiled and wheels.is_portable(engine)
    glibc = floor.of_program(image, target, held=held)
    stage = (engine / library_paths.FIRST_STAGE).read_bytes()
    facts = _facts(chosen, python, glibc, identity, gpus)
    if architectures:
        facts["cuda"] = [*architectures]
    return stub_parts.assembled(image, stage, facts).hashed()


def _native() -> Target:
    """Return this machine's target."""
    if (target := here()) is None:
        raise AppError(
            f"there is no runtime for this system, {sys.platform} on {platform.machine()}",
            hint=f"bundle for another: --target, one of {', '.join(TARGETS)}",
        )
    return target


def engine_folder() -> Path:
    """Return the folder of the engine's libraries; raise AppError if they were built otherwise."""
    folder = library_paths.library_folder()
    found = variant_files.variants(folder)
    cure = "replace it with: python -m bundler.engine"
    if not found:
        raise AppError(
            "the installed llama-cpp-python was built for one CPU only; its programs would crash "
            "on others",
            hint=cure,
        )
    if (machine := here()) and machine.plainest not in found:
        raise AppError("the installed llama-cpp-python lacks its plainest CPU variant", hint=cure)
    if (installed := importlib.metadata.version("llama-cpp-python")) != wheels.VERSION:
        raise AppError(
            f"llama-cpp-python {installed} is installed, {wheels.VERSION} is needed", hint=cure
        )
    for name in library_paths.OWN:
        if not (folder / name).exists():
            raise AppError(f"{name} is not beside the engine's libraries", hint=cure)
    if not (folder / wheels.STAMP).exists():
        raise AppError(
            "the installed llama-cpp-python was not built by `python -m bundler.engine`, so its "
            "libraries may be tied to this machine",
            hint=cure,
        )
    return folder


def _root() -> Path:
    return Path(runtime.__file__).parent.parent


def _recipe() -> Path:
    """Return build.spec: beside the packages in a checkout, inside `bundler` when installed."""
    for folder in (_root(), Path(bundler.__file__).parent):
        if (folder / "build.spec").exists():
            return folder / "build.spec"
    raise AppError("build.spec is missing", hint="install modelembed again")


def _identity(extra: list[Path], python: str = "", architectures: Sequence[str] = ()) -> str:
    """Return a hash of everything that the stub is made of, `extra` libraries included.

    `python` is the key of the Python that goes in; `architectures` are as for `build`.

    What is compiled here is known by what pip recorded of it, the hashes of all its files: reading
    them all would cost a fifth of a second at every `bundle`.
    """
    digest = hashlib.sha256()
    code = _root() / "runtime"
    page = (path for path in (code / "page").rglob("*") if path.is_file())
    sources = sorted([*code.glob("**/*.py"), *code.glob("**/*.c"), *page])
    recipe = sorted(Path(__file__).parent.glob("*.py"))
    # Other distributions' licences change with their versions only.
    texts = [*third_party.own_texts(), *sorted(third_party.TEXTS.glob("*.txt"))]
    folder = library_paths.library_folder()
    own = [folder / name for name in library_paths.OWN]  # pip knows nothing of them
    if (gpu := folder / GPU_BACKEND).exists():  # 44 MB, which keep the time of their making
        status = gpu.stat()
        digest.update(f"{gpu.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    for path in [*sources, _recipe(), *recipe, *texts, *own, *extra]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for name in COMPILED:
        digest.update((importlib.metadata.distribution(name).read_text("RECORD") or "").encode())
    digest.update(python.encode())
    if architectures:
        digest.update(cuda.identity(architectures).encode())
    for name in third_party.DISTRIBUTIONS:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _version(name: str) -> str:
    """Return the version of a distribution; importlib's own way parses the whole description."""
    text = importlib.metadata.distribution(name).read_text("METADATA") or ""
    found = re.search(r"^Version: (.+)$", text, re.MULTILINE)
    return found[1] if found else importlib.metadata.version(name)


def _freeze(
    work: Path,
    chosen: Path,
    data: Path,
    python: StubPython,
    root: Path,
    say: Callable[[str], None],
) -> Path:
    """Run PyInstaller on our code in `root`; return the executable it made."""
    command = [python.program, "-m", "PyInstaller", "--noconfirm", "--log-level=INFO"]
    command += ["--distpath", str(work / "dist"), "--workpath", str(work / "work"), str(_recipe())]
    command += ["--", "--engine", str(chosen), "--data", str(data), "--source", str(root)]
    command += ["--foreign", ",".join(python.foreign(root))]
    # Both make PyInstaller's output the same every time.
    fixed = {"PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "315532800"}
    # Its cache of stripped libraries has no lock, and two builds at once would mix theirs.
    fixed["PYINSTALLER_CONFIG_DIR"] = str(work / "pyinstaller")
    log = app_dirs.cache() / "stub-build.log"
    with (
        open(log, "w") as record,
        subprocess.Popen(
            command, env=python.environ(fixed), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            record.write(line)
            if step := re.search(r"INFO: Building (\w+) because", line):
                say(f"stub: {STEPS.get(step[1], step[1])}")
    made = work / "dist" / "stub"
    if process.returncode or not made.exists():
        raise AppError(
            f"PyInstaller failed; its whole output is in {log}",
            hint="the end of that file says why; with the reason gone, the same command goes on",
        )
    return made


def _facts(
    chosen: Path, python: StubPython, glibc: str, identity: str, gpus: list[str]
) -> dict[str, Any]:
    """Return what the stub says about itself in every manifest."""
    return {
        "id": identity,
        "version": __version__,
        "engine": f"llama-cpp-python {wheels.VERSION}",
        "python": python.version,
        "platform": python.target.name,
        "glibc": glibc,
        "rpc": library_paths.RPC_PROTOCOL,
        "variants": sorted(variant_files.variants(chosen)),
        "gpus": gpus,
        builtin_templates.STUB_KEY: _chat_templates(),
    }


def _chat_templates() -> list[str]:
    """Return the names of the templates in the engine, which only a runtime's process loads."""
    code = (
        "import json; from runtime.chat_format.chat_template import builtin_names; "
        "print(json.dumps(builtin_names()))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    names: list[str] = json.loads(done.stdout)
    return names
