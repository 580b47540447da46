"""Hostile bundles end in a clean error: at once, in a sentence, without a traceback."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import bundles
import pytest

from attacks import ALL

SECONDS = 10
MEMORY = 2 << 30

# One process tries all commands, one after the other: starting a hundred takes a minute.
TRY_ALL = f"""
import io, json, os, resource, sys, time, traceback
from bundler.commands import main as bundler_cli
from runtime.commands import main as program

resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
results = []
commands = json.load(sys.stdin)
for command in commands:
    sys.stdin = open(os.devnull)
    sys.argv = ["modelembed", *command]
    sys.stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")
    sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    begin, code = time.monotonic(), None
    try:
        code = program.run(command[1:]) if command[0] == "start" else bundler_cli.run()
    except BaseException:
        traceback.print_exc()
    wrote = []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        wrote.append(stream.buffer.getvalue().decode())
    results.append([code, *wrote, time.monotonic() - begin])
json.dump(results, sys.__stdout__)
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended, what it wrote, and how long it took."""

    code: int | None
    out: str
    err: str
    seconds: float


def commands_on(path: Path, out: Path, sound: Path) -> dict[str, list[str]]:
    """Return every command on a file; what they write goes to `out`."""
    file = str(path)
    return {
        "--json": ["inspect", "--json", file],
        "inspect": ["inspect", file],
        "verify": ["verify", file],
        "extract": ["extract", file, "-o", str(out / "extracted")],
        "extract manifest": ["extract", file, "manifest", "-o", str(out / "manifest")],
        "edit": ["edit", file, "--name", "Other", "-o", str(out / "edited")],
        "upgrade": ["upgrade", file, "--stub", str(sound), "-o", str(out / "upgraded")],
        "upgrade to it": ["upgrade", str(sound), "--stub", file, "-o", str(out / "with it")],
        "start": ["start", "-m", file, "Hello"],
    }


WRITTEN = {"extracted", "manifest", "edited", "upgraded", "with it"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Outcome]:
    """Return what came of every attack: on its own command, and on all others."""
    folder = tmp_path_factory.mktemp("attacks")
    beside = tmp_path_factory.mktemp("written")
    sound = bundles.write(beside / "sound", [bundles.stored(b"GGUF")])
    commands = {}
    for name, attack in ALL.items():
        attack.build(folder / name)
        (beside / name).mkdir()
        commands[name,] = [attack.command, str(folder / name)]
        for kind, command in commands_on(folder / name, beside / name, sound).items():
            if not attack.restores or kind not in ("verify", "extract"):
                commands[name, kind] = command
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL],
        input=json.dumps(list(commands.values())), capture_output=True, text=True, check=True,
        cwd=folder, timeout=SECONDS * 60,
    )  # fmt: skip
    assert sorted(ALL) == sorted(path.name for path in folder.iterdir())
    assert sorted([*ALL, "sound"]) == sorted(path.name for path in beside.iterdir())
    assert {path.name for name in ALL for path in (beside / name).iterdir()} <= WRITTEN
    return {key: Outcome(*row) for key, row in zip(commands, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize("name", ALL)
def test_attack_is_repelled(name: str, outcomes: dict[tuple[str, ...], Outcome]) -> None:
    outcome = outcomes[name,]

    assert "Traceback" not in outcome.err
    assert outcome.code in ALL[name].codes, outcome.err
    assert outcome.seconds < SECONDS
    if outcome.code:
        assert "" == outcome.out
        # `verify` says first whether the file is signed.
        assert outcome.err.removeprefix("not signed\n").startswith("error: ")
    odd = {character for character in outcome.out + outcome.err if not character.isprintable()}
    assert odd <= {"\n"}, "what steers a terminal reaches it"


@pytest.mark.parametrize("name", ALL)
def test_every_command_repels_it(name: str, outcomes: dict[tuple[str, ...], Outcome]) -> None:
    for (attack, *kind), outcome in outcomes.items():
        if attack != name or not kind:
            continue
        assert "Traceback" not in outcome.err, kind
        assert outcome.code in (0, 1, 2), kind
        assert not re.search("unexpected|memory ran out", outcome.err), kind
        assert outcome.seconds < SECONDS, kind
        assert not outcome.code or "\n\nhint: " in outcome.err, (kind, outcome.err)
        odd = {c for c in outcome.out + outcome.err if not c.isprintable()}
        assert odd <= {"\n"}, (kind, "what steers a terminal reaches it")


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("facts-")])
def test_json_of_odd_facts_is_json(name: str, outcomes: dict[tuple[str, ...], Outcome]) -> None:
    outcome = outcomes[name, "--json"]

    assert "Traceback" not in outcome.err
    assert outcome.code in (0, 1)
    if not outcome.code:
        json.loads(outcome.out)
        assert "\x1b" not in outcome.out


@pytest.mark.parametrize("name", ["footers-no-magic", "manifests-nested-fact", "sections-name-up"])
def test_program_itself_repels_it(name: str, tmp_path: Path) -> None:
    ALL[name].build(tmp_path / "hostile")
    done = subprocess.run(
        [sys.executable, "-c", "import sys, bundler.__main__ as m; sys.exit(m.main())",
         "inspect", tmp_path / "hostile"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name",
    ["headers-array-of-gigabytes", "headers-texts-without-end", "footers-archive-of-gigabytes",
     "seek_tables-frames-empty", "chunk_tables-rows-of-streams"],
)  # fmt: skip
def test_started_program_repels_it(name: str, tmp_path: Path, stub: Path) -> None:
    ALL[name].build(tmp_path / "hostile")
    done = subprocess.run(
        [stub, "-m", tmp_path / "hostile", "Hello"],
        capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )  # fmt: skip

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: ")
    assert "\n\nhint: " in done.stderr
    assert not re.search("Traceback|unexpected|memory ran out", done.stderr)
