"""Prewarmed bundles: the beginning of every conversation, computed when the file was made."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from adapters import write_adapter
from engines import demo, engine, facts, in_child
from paths import DEMO, ROOT, TESTS
from program import Done, Program
from recurrent import write as write_recurrent
from server_client import post
from servers import serve

from runtime.container import bundle_file, prefix_state
from runtime.container.layout import Manifest
from runtime.container.writer import Stub, write_bundle
from runtime.gguf.header import Header
from runtime.options.registry import Options

SYSTEM = "Your name is Max."
NAME, MAX = "What is your name?", "My name is Max."
UNUSED = "the prewarmed beginning is not used: "


def bundled(modelembed: Program, target: Path, *options: str, model: Path = DEMO) -> Path:
    """Return a prewarmed bundle that answers greedily."""
    done = modelembed(
        "bundle", str(model), "-o", str(target), "--system", SYSTEM, "--prewarm", "--no-check",
        "--set", "temp=0", "--set", "n_predict=20", *options,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "prewarmed: the first " in done.err
    return target


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, modelembed: Program) -> Path:
    return bundled(modelembed, tmp_path_factory.mktemp("warm") / "chat")


@pytest.fixture
def made(warm: Path, tmp_path: Path) -> Path:
    """A file of its own to be changed."""
    return Path(shutil.copy(warm, tmp_path / "made"))


def asked(path: Path, question: str, *flags: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """Return answer and costs of a question."""
    report = folder / "report.json"
    answer = Program(path).ask(question, "--report", str(report), *flags)
    found: dict[str, Any] = json.loads(report.read_text())
    return answer, found


def sections(path: Path) -> dict[str, dict[str, Any]]:
    found = json.loads(Program(path)("inspect", "--json").out)["sections"]
    return {section["name"]: section for section in found}


def test_what_is_prewarmed_is_not_computed(warm: Path, tmp_path: Path) -> None:
    part = sections(warm)["beginning"]
    assert ("state", "planes") == (part["kind"], part["codec"])
    assert f"state of the first {part['tokens']} tokens" in Program(warm)("inspect").out

    for flags in ((), ("-c", "512"), ("-np", "4"), ("--no-memfd",), ("--cpu", "x64")):
        answer, cost = asked(warm, NAME, *flags, folder=tmp_path)
        assert MAX == answer
        assert part["tokens"] == cost["prewarmed_tokens"] == cost["cached_tokens"]
        assert cost["prewarm_s"] > 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_begins_with_it(warm: Path, workers: str) -> None:
    with serve(Program(warm), "-t", "1", "--workers", workers) as server:
        document = post(
            server, "/v1/chat/completions", {"messages": [{"role": "user", "content": NAME}]}
        )

    assert MAX == document["choices"][0]["message"]["content"]
    details = document["usage"]["prompt_tokens_details"]
    assert sections(warm)["beginning"]["tokens"] == details["cached_tokens"]


def test_answers_are_those_of_a_file_that_is_not_prewarmed(
    warm: Path, forms: dict[str, Path]
) -> None:
    cold = Program(forms["stored"], ("--system", SYSTEM, "-n", "20"))
    for fact in facts()[:6]:
        assert cold.ask(fact["question"]) == Program(warm).ask(fact["question"])


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--system", "Your name is Ada."), "the system prompt is another"),
        (("--system", ""), "the system prompt is another"),
        (("--chat-template", "chatml"), "the chat template is another"),
        (("--no-think",), "the switch for thinking stands another way"),
        (("-m", str(DEMO)), "another model was given"),
        (("-m", "SELF"), "another model was given"),
        (("--lora", "ADAPTER"), "other adapters are used"),
    ],
)
def test_what_does_not_fit_is_computed(
    warm: Path, tmp_path: Path, flags: tuple[str, ...], why: str
) -> None:
    given = {"SELF": str(warm), "ADAPTER": str(tmp_path / "noise.gguf")}
    if "ADAPTER" in flags:
        write_adapter(tmp_path / "noise.gguf")
    report = tmp_path / "report.json"
    told = (*(given.get(flag, flag) for flag in flags), "--report", str(report))
    quiet = Program(warm)(NAME, *told)

    assert UNUSED not in quiet.err
    assert quiet.code == 0
    assert 0 == json.loads(report.read_text())["prewarmed_tokens"]
    said = Program(warm)(NAME, "--stats", *told).err
    assert UNUSED in said
    assert why in said


def test_a_context_that_is_too_small(modelembed: Program, tmp_path: Path) -> None:
    path = bundled(modelembed, tmp_path / "chat", "--system", "A word. " * 150)
    done = Program(path)(NAME, "--stats", "-c", "256")

    assert "tokens, more than the context of 256 takes" in done.err
    assert "more than the context of 256" in Program(path)("doctor", "-c", "256").out
    assert "cached" in Program(path)(NAME, "--stats").err


@pytest.mark.parametrize("place", ["head", "middle", "table", "tail"])
def test_damage_never_reaches_the_engine(made: Path, place: str) -> None:
    part = sections(made)["beginning"]
    end = part["offset"] + part["length"]
    where = {
        "head": part["offset"] + 5,
        "middle": part["offset"] + part["length"] // 2,
        "table": end - 40,
        "tail": end - 10,
    }[place]
    with open(made, "r+b") as file:
        file.seek(where)
        byte = file.read(1)
        file.seek(where)
        file.write(bytes([byte[0] ^ 0x55]))
    program = Program(made)
    done = program(NAME, "--stats")

    assert (0, MAX) == (done.code, done.out.strip())
    assert UNUSED in done.err
    assert program.ask(NAME) == MAX
    assert "part 'beginning'" in program("verify").err
    assert program("inspect").code == 0
    doctor = program("doctor", "--no-verify").out
    if place != "middle":  # it reads no further than it must
        assert "warn  prewarmed    not used" in doctor


def test_it_is_a_part_like_others(modelembed: Program, warm: Path, tmp_path: Path) -> None:
    assert "intact" in Program(warm)("verify").out
    assert "ok    prewarmed    the first " in Program(warm)("doctor").out
    assert "another model was given" in Program(warm)("doctor", "-m", str(DEMO)).out
    assert "the same bytes\n" == modelembed("rebuild-check", str(warm)).out
    part = sections(warm)["beginning"]
    assert Program(warm)("extract", "beginning", "-o", str(tmp_path / "state")).code == 0
    line, _, state = (tmp_path / "state").read_bytes().partition(b"\n")
    assert (len(line) + 1 + len(state), 0) == (part["size"], (len(line) + 1) % 4096)
    assert part["tokens"] == len(json.loads(line)["tokens"])
    assert prefix_state.REASONS.keys() == json.loads(line)["key"].keys()


def test_edits_that_it_survives_and_those_that_drop_it(modelembed: Program, made: Path) -> None:
    program = Program(made)
    kept = program("edit", "--name", "Other", "--greeting", "Hi!", "--set", "n_predict=30")
    assert (0, False) == (kept.code, "prewarmed" in kept.err)
    assert "beginning" in sections(made)

    dropped = program("edit", "--system", "Your name is Ada.")
    assert "left out: the system prompt is another; compute it again" in dropped.err
    assert ["model"] == list(sections(made))
    assert "Max" not in program.ask(NAME)

    again = modelembed("edit", str(made), "--system", SYSTEM, "--prewarm")
    assert again.code == 0, again.err
    assert MAX in program(NAME, "--stats").out
    assert "cached" in program(NAME, "--stats").err
    for change, why in (
        (("--set", "think=false"), "the switch for thinking"),
        (("--set", "chat_template=chatml"), "the chat template"),
    ):
        copy = made.with_name("copy")
        done = modelembed("edit", str(made), *change, "-o", str(copy))
        assert f"left out: {why}" in done.err
        copy.unlink()
    assert "beginning" in sections(made)
    assert program("edit", "--remove", "beginning").code == 0
    assert ["model"] == list(sections(made))


def test_another_runtime(modelembed: Program, made: Path, stub: Path, tmp_path: Path) -> None:
    kept = modelembed("upgrade", str(made), "--stub", str(stub))
    assert (0, False) == (kept.code, "prewarmed" in kept.err)

    for differing, name in (({"id": "f" * 16}, "newer"), ({"platform": "plan9-mips"}, "foreign")):
        bundle = bundle_file.load(stub)
        taken = Stub.of(bundle)
        other = dataclasses.replace(taken, facts={**taken.facts, **differing})
        with open(tmp_path / name, "w+b") as file:
            write_bundle(file.fileno(), other, [], Manifest)
        bundle.close()
    dropped = modelembed("upgrade", str(made), "--stub", str(tmp_path / "newer"))
    assert "left out: it was computed by another build of the engine" in dropped.err
    assert ["model"] == list(sections(made))

    options = ("-o", str(tmp_path / "x"), "--stub", str(tmp_path / "foreign"), "--prewarm")
    refused = modelembed("bundle", str(DEMO), *options)
    assert 2 == refused.code
    assert "for another platform" in refused.err
    assert not (tmp_path / "x").exists()


def test_beside_the_program(modelembed: Program, tmp_path: Path) -> None:
    program = Program(bundled(modelembed, tmp_path / "chat", "--sidecar", "--compress", "none"))
    assert MAX in program(NAME, "--stats").out
    assert "cached" in program(NAME, "--stats").err
    assert "intact" in program("verify").out

    edited = program("edit", "--system", "Your name is Ada.")
    assert "stays in the file beside it, but is of no use: the system prompt" in edited.err
    assert "warn  prewarmed    not used: the system prompt is another" in program("doctor").out
    assert UNUSED in program(NAME, "--stats").err
    refused = modelembed("edit", str(tmp_path / "chat"), "--prewarm")
    assert "lie in a file of their own" in refused.err


def test_with_an_adapter(modelembed: Program, tmp_path: Path, forms: dict[str, Path]) -> None:
    adapter = write_adapter(tmp_path / "noise.gguf")
    path = bundled(modelembed, tmp_path / "chat", "--lora", f"{adapter}=0.5")
    cold = Program(forms["stored"], ("--system", SYSTEM, "-n", "20"))

    answer, cost = asked(path, NAME, folder=tmp_path)
    assert cost["prewarmed_tokens"] > 0
    assert cold.ask(NAME, "--lora", f"{adapter}=0.5") == answer
    assert 0 == asked(path, NAME, "--lora", "none", folder=tmp_path)[1]["prewarmed_tokens"]
    assert "left out: other adapters" in Program(path)("edit", "--remove", "noise").err

    twice = adapter.rename(tmp_path / "beginning.gguf")
    options = ("-o", str(tmp_path / "x"), "--lora", str(twice), "--prewarm", "--system", SYSTEM)
    assert "two parts would be called" in modelembed("bundle", str(DEMO), *options).err


def test_a_model_that_cannot_take_back_what_it_has_read(
    modelembed: Program, tmp_path: Path
) -> None:
    model = write_recurrent(tmp_path / "mamba.gguf")
    flags = ("--chat-template", "chatml")
    path = bundled(modelembed, tmp_path / "chat", *flags, model=model)
    cold = tmp_path / "cold"
    options = ("--set", "temp=0", "--set", "n_predict=20", "--system", SYSTEM, "--no-check")
    assert modelembed("bundle", str(model), "-o", str(cold), *flags, *options).code == 0

    for question in ("hello", "what"):
        answer, cost = asked(path, question, folder=tmp_path)
        assert cost["prewarmed_tokens"] > 0
        assert Program(cold).ask(question) == answer


def test_signed(modelembed: Program, tmp_path: Path) -> None:
    golden = TESTS / "golden" / "minisign"
    key = str(golden / "throwaway.key")
    program = Program(bundled(modelembed, tmp_path / "chat", "--sign", key))

    assert program("verify", "--key", str(golden / "throwaway.pub")).code == 0


def refusal(done: Done) -> str:
    return done.err if done.code else ""


def test_refused_where_nothing_can_be_computed(modelembed: Program, tmp_path: Path) -> None:
    target = tmp_path / "x"
    options = ("-o", str(target), "--prewarm", "--no-check")
    long = modelembed("bundle", str(DEMO), *options, "--system", "word " * 2000)
    assert "conversations begin with " in refusal(long)
    assert "the context has room for 1023" in refusal(long)
    assert "--set ctx_size=N" in refusal(long)
    plain = ("--chat-template", "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    nothing = modelembed("bundle", str(DEMO), *options, *plain)
    assert "conversations have no beginning in common" in refusal(nothing)
    assert [] == list(tmp_path.iterdir())


KEY = {name: "x" for name in prefix_state.REASONS}


@pytest.mark.parametrize("name", prefix_state.REASONS)
def test_every_part_of_a_key_counts(name: str) -> None:
    assert "" == prefix_state.difference(KEY, KEY)
    assert prefix_state.REASONS[name] == prefix_state.difference(KEY, {**KEY, name: "y"})
    assert "" == prefix_state.difference(KEY, {other: "x" for other in KEY if other != name})
    assert "it was made by another release" == prefix_state.difference({**KEY, "new": "1"}, KEY)


def test_specification_lists_the_key() -> None:
    text = (ROOT / "FORMAT.md").read_text(encoding="utf-8")
    _, _, text = text.partition("| string of `key` |")
    table, _, _ = text.partition("\n\n")

    names = [name for row in table.splitlines()[2:] for name in row.split("|")[1].split("`")[1::2]]
    assert sorted(prefix_state.REASONS) == sorted(names)


def test_what_options_make_a_key() -> None:
    def key(**options: Any) -> dict[str, str]:
        return prefix_state.conversation_key(Options(**options), {}, [])

    assert key() == key(temp=0.0, greeting="Hi", n_predict=3, seed=1)
    for options in ({"system": "x"}, {"chat_template": "chatml"}, {"think": False}):
        assert key() != key(**options)


@pytest.mark.parametrize(
    ("original", "context", "found"), [(0, 9999, ""), (4096, 4096, "short"), (4096, 4097, "long")]
)
def test_positions_count_another_way_in_a_long_context(
    original: int, context: int, found: str
) -> None:
    key = "phi3.rope.scaling.original_context_length"
    metadata = {"general.architecture": "phi3", **({key: original} if original else {})}
    header = Header(3, metadata, {}, (), 0)

    assert found == prefix_state.positions(header, context)


DATED = (
    "{{ bos_token }}Today is {{ strftime_now('%d %B %Y') }}.\n"
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
)


@pytest.mark.parametrize(
    "day", ["29 Nov 2026", "30 Nov 2026", "31 Dec 1999", "04 Jul 2048", "01 Jan 2030", "2026-11-30"]
)
@in_child
def test_what_all_conversations_begin_with(day: str) -> None:
    from runtime.chat_format import chat_template
    from runtime.dialogue import prefix_cache

    model = demo()

    def shared(text: str, system: str = SYSTEM) -> str:
        days = day, *chat_template.OTHER_DAYS
        sources = [chat_template.on_day(text, one) for one in days]
        templates = [
            chat_template.from_text(source, bos=model.bos, eos=model.eos) for source in sources
        ]
        tokens = prefix_cache.shared_tokens(templates, model, Options(system=system))
        return b"".join(map(model.piece, tokens)).decode()

    assert shared(DATED).rstrip() == "Today is"
    undated = DATED.replace("Today is {{ strftime_now('%d %B %Y') }}.", "")
    assert SYSTEM in shared(undated)
    assert shared(undated).rstrip().endswith("<user>")


@in_child
def test_a_state_in_memory_is_adopted_where_it_lies() -> None:
    tokens = demo().tokenize("What is the capital of France?", beginning=True)
    with engine() as one:
        state = memoryview(bytearray(one.state_of(tokens)))
    with engine() as one:
        one.load_state(state, tokens)
        stream = one.submit([*tokens, *tokens])
        list(stream)
        assert len(tokens) == stream.stats.cached_tokens
