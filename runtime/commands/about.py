"""`info`, `--version` and `licenses`: what a bundle contains, versions, licences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runtime import __version__
from runtime.container import bundle_file, prefix_state
from runtime.container.bundle_file import Bundle, program_name
from runtime.container.layout import Section
from runtime.errors import AppError
from runtime.sanitize import plain, plain_lines
from runtime.units import amount, gigabytes


def version_line() -> str:
    """Return the name and versions of the program in one line."""
    bundle = bundle_file.own()
    engine = bundle.manifest.stub.get("engine", "") if bundle else ""
    versions = f"modelembed {__version__}" + (f", {engine}" if engine else "")
    name = program_name(bundle)
    return versions if name == "modelembed" else f"{plain(name)} ({versions})"


def facts(bundle: Bundle) -> dict[str, Any]:
    """Return everything that a bundle's manifest says, for --json."""
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "model": dict(manifest.model),
        "sections": [
            {"name": s.name, "kind": s.kind, "size": s.size, "length": s.length,
             "codec": s.codec, "offset": s.offset, "sha256": s.sha256,
             "coded_sha256": s.coded_sha256, **_content(bundle, s)}
            for s in manifest.sections
        ],
        "sidecar": manifest.sidecar.name if manifest.sidecar else "",
        "signed_by": _signer(bundle),
        "defaults": dict(manifest.defaults),
        "stub": dict(manifest.stub),
        "tool": manifest.tool,
    }  # fmt: skip


def _content(bundle: Bundle, section: Section) -> dict[str, Any]:
    """Return a summary of a section: bytes by tensor type, or tokens of a prompt state."""
    if section.kind == prefix_state.KIND:
        from runtime.weights import decompress

        try:
            found = prefix_state.read(decompress.original_chunks(bundle, section), section.name)
            return {"types": {}, "tokens": len(found.tokens)}
        except AppError:  # it is damaged: verify says so
            return {"types": {}}
    from runtime.weights import size_by_type

    sizes = size_by_type.bytes_by_type(bundle, section)
    types = {name: {"size": size, "length": coded} for name, (size, coded) in sizes.items()}
    return {"types": types}


def _signer(bundle: Bundle) -> str:
    """Return the name of the key that signed the bundle, empty if unsigned; does not verify it."""
    from runtime.container import minisign

    text = bundle.signature
    return minisign.Signature.parse(text).name if text else ""


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of `facts` in a form for people."""
    model = document["model"]
    rows = [("name", document["name"] or "(none)")]
    for key in ("name", "architecture", "parameters", "quantization", "license", "context"):
        if value := model.get(key):
            counted = key == "parameters" and isinstance(value, int)
            text = amount(value) if counted else str(value)
            rows.append((f"model {key}" if key == "name" else key, text))
    for section in document["sections"]:
        how = "stored" if section["codec"] == "stored" else f"{section['codec']} → "
        if section["codec"] != "stored":
            how += gigabytes(section["length"])
        rows.append((f"part {section['name']}", f"{gigabytes(section['size'])}, {how}"))
        for name, found in section["types"].items():
            share = f", {found['length'] / found['size']:.1%} of it" if found["size"] else ""
            coded = share if section["codec"] != "stored" else ""
            rows.append((f"  {name}", f"{gigabytes(found['size'])}{coded}"))
        if "tokens" in section:
            what = f"state of the first {section['tokens']:,} tokens of every conversation"
            rows.append(("  holds", what))
        rows.append(("  SHA-256", section["sha256"]))
    if not document["sections"]:
        rows.append(("parts", "none: pass a model with -m FILE.gguf"))
    if document["sidecar"]:
        rows.append(("parts are in", document["sidecar"]))
    if document["signed_by"]:
        rows.append(("signed with", f"key {document['signed_by']} (verify --key checks it)"))
    for key, value in document["defaults"].items():
        text = str(value)
        rows.append((f"default {key}", text if len(text) < 60 else text[:57] + "…"))
    stub = document["stub"]
    facts = {"engine": "engine", "python": "python", "glibc": "glibc", "stub": "id"}
    rows += [(name, str(stub[key])) for name, key in facts.items() if stub.get(key)]
    if isinstance(variants := stub.get("variants"), list):
        rows.append(("CPU variants", ", ".join(variants)))
    rows.append(("made by", document["tool"]))
    width = max(len(key) for key, _ in rows)
    yield from (f"{plain(key):<{width}}  {plain(value)}" for key, value in rows)


def licenses(bundle: Bundle | None) -> Iterator[str]:
    """Yield the licences of the model and of all software in the executable."""
    if bundle and bundle.model:
        model = bundle.manifest.model
        yield plain(f"=== The model: {model.get('name') or bundle.manifest.name} ===")
        licence = model.get("license") or "the model file names no licence; ask who gave it to you"
        yield plain_lines(str(licence))
        yield from (plain(str(model[key])) for key in ("license_link", "author") if model.get(key))
        yield ""
    folder = getattr(sys, "_MEIPASS", None)
    if folder is None:
        yield "The licences of the other parts are those of the installed packages."
        return
    for entry in json.loads((Path(folder) / "licenses.json").read_text()):
        yield f"=== {entry['name']} {entry['version']}: {entry['license']} ==="
        yield from (entry["text"].rstrip(), "")
