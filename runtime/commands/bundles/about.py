"""`info`, `--version` and `licenses`: what a bundle contains, versions, licences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runtime import __version__
from runtime.container import bundle_file, prefix_state, second_models
from runtime.container.bundle_file import Bundle, program_name
from runtime.container.layout import Section
from runtime.errors import AppError
from runtime.gguf import projector
from runtime.sanitize import plain, plain_lines
from runtime.units import amount, counted, gigabytes


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
    """Return a summary of a section: bytes by tensor type, what a state or an index has."""
    if section.kind == prefix_state.KIND:
        from runtime.weights import decompress

        try:
            found = prefix_state.read(decompress.original_chunks(bundle, section), section.name)
            return {"types": {}, "tokens": len(found.tokens)}
        except AppError:  # it is damaged: verify says so
            return {"types": {}}
    if section.kind == "documents":
        from runtime.search.section import opened

        try:
            head = opened(bundle, section).head
        except AppError:  # likewise
            return {"types": {}}
        return {
            "types": {}, "documents": head.documents, "pieces": head.pieces,
            "dimensions": head.dimensions, "facts": dict(head.facts),
        }  # fmt: skip
    from runtime.weights import size_by_type

    sizes = size_by_type.bytes_by_type(bundle, section)
    types = {name: {"size": size, "length": coded} for name, (size, coded) in sizes.items()}
    facts = {"facts": dict(section.facts)} if section.facts else {}
    return {"types": types, **facts}


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
        if section["kind"] in second_models.KINDS:
            rows.append(("  holds", second_models.line(section["kind"], section.get("facts", {}))))
        if section["kind"] == "projector":
            rows.append(("  holds", projector.line(section.get("facts", {}))))
        if "tokens" in section:
            what = f"state of the first {section['tokens']:,} tokens of every conversation"
            rows.append(("  holds", what))
        if "documents" in section:
            rows.append(("  holds", _contents(section)))
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
    if stub.get("rpc"):
        rows.append(("several machines", f"by RPC {stub['rpc']}, which all of them must speak"))
    if isinstance(variants := stub.get("variants"), list):
        rows.append(("CPU variants", ", ".join(variants)))
    if ways := _ways(stub):
        rows.append(("GPUs", ", ".join(ways)))
    rows.append(("made by", document["tool"]))
    width = max(len(key) for key, _ in rows)
    yield from (f"{plain(key):<{width}}  {plain(value)}" for key, value in rows)


def _ways(stub: Mapping[str, Any]) -> list[str]:
    """Return by what a program can use GPUs, in words, the faster first."""
    found = stub.get("gpus")
    ways = [str(way) for way in found] if isinstance(found, list) else []
    known = {"cuda": "by CUDA", "vulkan": "by Vulkan"}
    named = {way: known.get(way, f"by {way}") for way in ways}
    if "cuda" in named and isinstance(architectures := stub.get("cuda"), list):
        named["cuda"] += f" (architectures {', '.join(map(str, architectures))})"
    return [*named.values()]


def _contents(section: Mapping[str, Any]) -> str:
    """Return what an index has, in words."""
    held = f"{counted(section['documents'], 'document')} in {counted(section['pieces'], 'piece')}"
    vectors = f"vectors of {section['dimensions']} dimensions" if section["dimensions"] else ""
    return f"{held}, found by {vectors and 'words and '}{vectors or 'words alone'}"


def _license(kind: str, facts: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the licence of a model, as its file told."""
    yield plain(f"=== The {kind}: {facts.get('name') or name} ===")
    licence = facts.get("license") or "the model file names no licence; ask who gave it to you"
    yield plain_lines(str(licence))
    yield from (plain(str(facts[key])) for key in ("license_link", "author") if facts.get(key))
    yield ""


def licenses(bundle: Bundle | None) -> Iterator[str]:
    """Yield the licences of the model and of all software in the executable."""
    if bundle and bundle.model:
        yield from _license("model", bundle.manifest.model, bundle.manifest.name)
    if bundle and (eyes := bundle.projector):
        yield from _license(eyes.kind, eyes.facts, eyes.name)
    for section in second_models.sections_of(bundle) if bundle else ():
        yield from _license(section.kind, section.facts, section.name)
    folder = getattr(sys, "_MEIPASS", None)
    if folder is None:
        yield "The licences of the other parts are those of the installed packages."
        return
    for entry in json.loads((Path(folder) / "licenses.json").read_text()):
        yield f"=== {entry['name']} {entry['version']}: {entry['license']} ==="
        yield from (entry["text"].rstrip(), "")
