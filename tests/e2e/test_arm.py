"""Programs for 64-bit ARM, made on another machine, do and say what those of that machine do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import arm_programs
import openai
import pytest
from arm_programs import TARGET
from paths import DEMO
from program import Done, Program
from servers import Served, serve
from terminals import Terminal

from bundler.engine.shared_object import SharedObject

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
MISSING = "this machine is one" if TARGET.is_here else arm_programs.missing()
SECONDS = 300
QUESTIONS = 12
FORMS = {"stored": "none", "compressed": "max"}

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"programs for {TARGET.name}: {MISSING}")


@pytest.fixture(scope="module")
def made(modelembed: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return executables with the demo model, stored and compressed."""
    folder = tmp_path_factory.mktemp("arm")
    for form, compression in FORMS.items():
        done = modelembed(
            "bundle", str(DEMO), "-o", str(folder / form), "--compress", compression,
            "--target", TARGET.name, "--set", "temp=0", seconds=5400,
        )  # fmt: skip
        assert done.code == 0, done.err
        assert f"not tested: it runs on {TARGET.name}" in done.err
    return {form: folder / form for form in FORMS}


@pytest.fixture(scope="module")
def armed(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Return the stored one as it runs on the processor that can do everything."""
    return on(made["stored"], TARGET.processors[-1], tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def server(armed: Program) -> Iterator[Served]:
    with serve(armed, "-t", "1") as running:
        yield running


def on(program: Path, cpu: str, folder: Path) -> Program:
    """Return `program` as it runs on the processor `cpu`; it keeps what it keeps in `folder`."""
    homes = {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}
    return Program(arm_programs.wrapped(program, cpu, folder / "run"), (), homes)


def ran(program: Program, *arguments: str, stdin: str | None = None) -> Done:
    done = program(*arguments, stdin=stdin, seconds=SECONDS)
    assert done.code == 0, done.err
    return done


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cpu", TARGET.processors)
def test_it_answers_in_a_pipe(made: dict[str, Path], tmp_path: Path, cpu: str, form: str) -> None:
    done = ran(on(made[form], cpu, tmp_path), stdin=FRANCE)
    assert done.out == f"{PARIS}\n"
    assert "does not work here" not in done.err


def test_it_chats(armed: Program) -> None:
    terminal = Terminal(armed.path, "-t", "1", **armed.environment)
    terminal.shows(">", seconds=SECONDS)
    terminal.type(FRANCE)
    terminal.shows(PARIS, seconds=SECONDS)
    terminal.type("/exit")
    terminal.child.wait()


def test_it_serves_the_same_greedy_answers(
    server: Served, chat: Program, facts: dict[str, list[dict[str, str]]]
) -> None:
    pairs = facts["questions"]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        for pair in pairs[:: len(pairs) // QUESTIONS]:
            answer = client.chat.completions.create(
                model="any", messages=[{"role": "user", "content": pair["question"]}]
            )
            assert answer.choices[0].message.content == chat.ask(pair["question"])


def test_it_verifies_extracts_and_edits_itself(armed: Program, tmp_path: Path) -> None:
    assert "intact" in ran(armed, "verify").out
    ran(armed, "extract", "-o", str(tmp_path / "model.gguf"))
    assert digest(tmp_path / "model.gguf") == digest(DEMO)
    ran(armed, "edit", "-o", str(tmp_path / "edited"), "--set", "greeting=Salut")
    edited = on(tmp_path / "edited", TARGET.processors[0], tmp_path)
    assert "Salut" in ran(edited, "info").out
    assert ran(edited, FRANCE).out == f"{PARIS}\n"


def test_the_libraries_are_for_old_systems(armed: Program) -> None:
    glibc = next(line for line in ran(armed, "info").out.splitlines() if line.startswith("glibc"))
    assert version(glibc.split()[1]) <= version(TARGET.glibc)


def test_this_machines_tools_read_and_edit_it(
    made: dict[str, Path], modelembed: Program, tmp_path: Path
) -> None:
    image = made["stored"].read_bytes()
    assert SharedObject.parse(image).machine == TARGET.machine
    ran(modelembed, "verify", str(made["stored"]))
    ran(modelembed, "rebuild-check", str(made["compressed"]))
    ran(modelembed, "extract", str(made["compressed"]), "-o", str(tmp_path / "model.gguf"))
    assert digest(tmp_path / "model.gguf") == digest(DEMO)


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
