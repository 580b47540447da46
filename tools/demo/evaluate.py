"""Ask the demo model everything through llama.cpp and print how much it gets right."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
from llama_cpp import llama_cpp as api

from exam import exam
from turns import Dialogue

BEST_EFFORT = ("unknown",)  # not counted in the total
FILE_TYPES = {
    "F32": api.LLAMA_FTYPE_ALL_F32,
    "F16": api.LLAMA_FTYPE_MOSTLY_F16,
    "BF16": api.LLAMA_FTYPE_MOSTLY_BF16,
    "Q8_0": api.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q6_K": api.LLAMA_FTYPE_MOSTLY_Q6_K,
    "Q5_K_M": api.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q4_K_M": api.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q4_0": api.LLAMA_FTYPE_MOSTLY_Q4_0,
}


def load_backends() -> None:
    """Load the CPU backends of a llama.cpp that was built with them as plug-ins."""
    folder = Path(llama_cpp.__file__).parent / "lib"
    if any(folder.glob("*ggml-cpu-*")):
        api._lib.ggml_backend_load_all_from_path(str(folder).encode())


def convert(source: Path, target: Path, file_type: str) -> None:
    """Write the model again with its matrices in another type."""
    params = api.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[file_type]
    if api.llama_model_quantize(str(source).encode(), str(target).encode(), params):
        raise SystemExit(f"error: llama.cpp could not convert {source} to {file_type}")


def answers(model: llama_cpp.Llama, dialogue: Dialogue) -> list[str]:
    """Hold a dialogue and return what the model says, as likely as it can be."""
    messages = [] if dialogue.system is None else [{"role": "system", "content": dialogue.system}]
    said = []
    for turn in dialogue.turns:
        messages.append({"role": "user", "content": turn.user})
        reply = model.create_chat_completion(messages, temperature=0.0, max_tokens=256)
        text = reply["choices"][0]["message"]["content"]
        messages.append({"role": "assistant", "content": text})
        said.append(text)
    return said


def score(path: Path, at_most: int, show: int) -> float:
    """Print the score of each part of the exam and return that of all that counts."""
    model = llama_cpp.Llama(str(path), n_ctx=0, verbose=False)
    right_in_all = asked_in_all = 0
    for part, dialogues in exam().items():
        chosen = dialogues[:: 1 + (len(dialogues) - 1) // at_most]
        wrong = []
        for dialogue in chosen:
            said = answers(model, dialogue)
            for turn, text in zip(dialogue.turns, said, strict=True):
                if text != turn.assistant:
                    wrong.append((turn.user, text, turn.assistant))
                    break
        right = len(chosen) - len(wrong)
        print(f"  {part:24} {right:5} of {len(chosen):5}  {right / len(chosen):8.2%}", flush=True)
        for user, text, expected in wrong[:show]:
            print(f"      {user!r}: {text!r}, not {expected!r}")
        if part not in BEST_EFFORT:
            right_in_all += right
            asked_in_all += len(chosen)
    model.close()
    return right_in_all / asked_in_all


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the GGUF, in F16")
    parser.add_argument(
        "--types", nargs="+", choices=FILE_TYPES, default=["F16"], help="what to convert it to"
    )
    parser.add_argument("--at-most", type=int, default=10**6, help="dialogues of each part")
    parser.add_argument("--show", type=int, default=3, help="wrong answers to print of each part")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Score the model in each type."""
    chosen = options(arguments)
    load_backends()
    totals = {}
    with tempfile.TemporaryDirectory() as folder:
        for file_type in chosen.types:
            path = chosen.model
            if file_type != "F16":
                path = Path(folder) / f"{file_type}.gguf"
                convert(chosen.model, path, file_type)
            print(f"{file_type}, {path.stat().st_size:,} bytes", flush=True)
            totals[file_type] = score(path, chosen.at_most, chosen.show)
    for file_type, total in totals.items():
        print(f"{file_type:8} {total:8.2%}")


if __name__ == "__main__":
    main(sys.argv[1:])
