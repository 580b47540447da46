"""Self-check of a new bundle: run it once, and report start time, speed and memory."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler import run_program
from bundler.commands import drawn
from runtime.errors import AppError
from runtime.options import fallback
from runtime.units import gigabytes

SECONDS = 900
TOKENS = 16
NOWHERE = "http://127.0.0.1:1/v1"
"""An address at which nobody listens: the port is for tcpmux, which nobody uses."""


@dataclass(frozen=True)
class Report:
    """What a self-check measured."""

    size: int
    model_size: int
    projector_size: int
    """0 if there is none."""
    cost: dict[str, Any]

    def lines(self) -> list[str]:
        """Return the report for people."""
        memory = self.cost["memory"]
        speed = ""
        if self.cost["generated_tokens"] > 1 and self.cost["generate_s"]:
            rate = (self.cost["generated_tokens"] - 1) / self.cost["generate_s"]
            speed = f", {rate:.1f} tokens/s"
        load = f"load {self.cost['load_s']:.2f} s"
        if self.cost["restored_bytes"] and self.cost["restore_s"] < 0.01:
            load = f"unpack and {load}"
        elif self.cost["restored_bytes"]:
            load = f"unpack {self.cost['restore_s']:.2f} s, {load}"
        own = memory.get("anonymous", 0) + memory.get("shmem", 0)
        warm = (
            f", the first {self.cost['prewarmed_tokens']:,} tokens ready in "
            f"{self.cost['prewarm_s']:.2f} s"
            if self.cost["prewarmed_tokens"]
            else ""
        )
        inside = f"the model: {gigabytes(self.model_size)}"
        if self.projector_size:
            inside += f", the projector: {gigabytes(self.projector_size)}"
        return [
            f"size     {gigabytes(self.size)} ({inside})",
            f"start    {load}{warm}, first token after {self.cost['first_token_s']:.2f} s{speed}",
            f"memory   {gigabytes(own)} of its own, {gigabytes(memory.get('rss_peak', 0))} at the "
            "peak with mapped weights",
            f"CPU      {self.cost['cpu']}, {self.cost['threads']} threads",
        ]


def prove(executable: Path, model_size: int) -> Report:
    """Run `executable`: its metadata, then a few tokens; raise AppError telling what failed."""
    with tempfile.TemporaryDirectory() as folder:
        variables = _variables(Path(folder))
        document = _run(executable, ["info", "--json"], "show what is in it", variables)
        try:
            facts = json.loads(document)
            sections, defaults = facts["sections"], facts["defaults"]
        except (ValueError, KeyError):
            sections, defaults = [], {}
        if not any(section["kind"] == "model" for section in sections):
            raise AppError(f"{executable} does not find its model", hint="please report this")
        report = Path(folder) / "report.json"
        question = ["-p", "Hello", *_exceptions(defaults), "--report", str(report)]
        if any(section["kind"] == "documents" for section in sections):
            _run(executable, ["search", "--json", "Hello"], "search its documents", variables)
            question += ["--passages", "0"]  # where nothing is found, no model is asked
        empty: dict[str, Any] = {}
        eyes = next((one for one in sections if one["kind"] == "projector"), empty)
        asked, purpose = _shown(eyes.get("facts", {}), Path(folder))
        _run(executable, [*question, *asked], purpose, variables)
        cost: dict[str, Any] = json.loads(report.read_text())
    if "fallback" in cost:
        raise AppError(
            f"{executable} had its fallback asked: the model in it did not answer",
            hint="see why with --no-fallback-on-error -v",
        )
    if cost["generated_tokens"] < 1:
        raise AppError(f"{executable} generated no token", hint="try it by hand with -v")
    return Report(executable.stat().st_size, model_size, eyes.get("size", 0), cost)


def _shown(facts: Mapping[str, Any], folder: Path) -> tuple[list[str], str]:
    """Return the flags that ask about what a projector with these `facts` takes, and the purpose.

    A picture or a sound is written to `folder`; without a projector there is none.
    """
    if facts.get("sees"):
        path, data, flag, what = folder / "picture.png", drawn.picture(), "--image", "a picture"
    elif facts.get("hears"):
        path, data, flag, what = folder / "sound.wav", drawn.sound(), "--audio", "a sound"
    else:
        return [], "answer a question"
    path.write_bytes(data)
    return [flag, str(path)], f"answer a question about {what}"


def _exceptions(defaults: Mapping[str, Any]) -> list[str]:
    """Return the flags by which a check differs from a run with the baked-in `defaults`.

    They must be few: what a flag overrides is not proved.
    """
    flags = ["-n", str(TOKENS), "--ignore-eos"]  # of every model some tokens, of none too many
    flags += ["--no-fit"]  # this machine may be smaller than those that it is made for
    if defaults.get("fallback_on_error") and not fallback.problem(defaults):
        # The model itself must answer, and nothing may leave this machine. A fallback that names
        # no server is left as it is: the flag would mend it for this run alone.
        flags += ["--fallback-base-url", NOWHERE]
    return flags


def _variables(folder: Path) -> Mapping[str, str]:
    """Return the environment variables of a check that keeps its own files in `folder`.

    A baked-in `cache` is proved as well, and nothing is left in the user's own folders.
    """
    return {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "data"),
        "NO_PROXY": "*",  # or NOWHERE would be asked of the proxy, on its machine
        "no_proxy": "*",
    }


def _run(
    executable: Path,
    arguments: list[str],
    purpose: str,
    variables: Mapping[str, str],
) -> str:
    """Return what `executable` prints; raise AppError where it fails, or cannot be tried here."""
    try:
        done = run_program.run(executable, arguments, seconds=SECONDS, variables=variables)
    except subprocess.TimeoutExpired:
        raise AppError(
            f"{executable} took longer than {SECONDS} seconds to {purpose}",
            hint="the model may be too large for this machine; --no-check skips the test",
        ) from None
    except AppError as exc:
        raise AppError(
            f"{executable} was written, but not tested: {exc.problem}",
            hint=f"{exc.hint}; --no-check skips the test",
        ) from exc
    if done.code:
        failure = "it crashed" if done.crashed else f"code {done.code}"
        raise AppError(
            f"{executable} was written, but failed to {purpose} ({failure}): "
            f"{done.err or 'it printed nothing'}"
        )
    return done.out
