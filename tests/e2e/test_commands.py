"""What the produced executable does beside chatting: bench, doctor, sessions, held answers."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import ggufs
from paths import DEMO
from program import Program

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."


def test_bench_speaks_llama_benchs_terms(chat: Program) -> None:
    table = chat("bench", "-p", "64", "-n", "16", "-r", "2")
    assert table.code == 0, table.err
    assert "| pp64 " in table.out
    assert "| tg16 " in table.out
    assert "loaded in" in table.out

    rows = json.loads(chat("bench", "-p", "64", "-n", "16", "-r", "3", "--json").out)
    assert [("pp64", 64, 0), ("tg16", 0, 16)] == [
        (row["test"], row["n_prompt"], row["n_gen"]) for row in rows
    ]
    assert all(len(row["samples_ts"]) == 3 and row["avg_ts"] > 0 for row in rows)


def test_bench_measures_what_was_asked_for_whatever_is_baked_in(
    chat: Program, modelembed: Program, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    done = modelembed("edit", str(chat.path), "-o", str(held), "--set", 'grammar=root ::= ""')
    assert done.code == 0, done.err
    measured = Program(held)("bench", "-p", "8", "-n", "16", "-r", "1")
    assert measured.code == 0, measured.err
    assert "| tg16 " in measured.out


def test_a_program_may_have_any_name(chat: Program, tmp_path: Path) -> None:
    """The kernel cuts names after 15 bytes, also within a character."""
    path = tmp_path / "помощник"
    os.link(chat.path, path)
    report = tmp_path / "report.json"
    done = Program(path)(FRANCE, "--report", str(report))
    assert (0, f"{PARIS}\n") == (done.code, done.out), done.err
    assert json.loads(report.read_text())["memory"]["anonymous"] > 0


def test_doctor_finds_nothing_wrong(loaded: Program, clean_home: Path) -> None:
    flags = [flag for flag in loaded.flags if flag not in ("--no-mmap", "--temp", "0")]
    done = Program(loaded.path)("doctor", *flags)

    assert done.code == 0, done.out + done.err
    states = {line[6:19].strip(): line[:4].strip() for line in done.out.splitlines()}
    assert "fail" not in states.values()
    assert {"processor", "CPU variant", "GPU", "unpacked", "model", "memory", "template"} <= (
        states.keys()
    )


def test_doctor_says_what_is_wrong(
    chat: Program, modelembed: Program, tmp_path: Path, clean_home: Path
) -> None:
    broken = tmp_path / "broken"
    content = bytearray(chat.path.read_bytes())
    place = content.find(b"GGUF", 1 << 20) + DEMO.stat().st_size - 1000
    content[place] ^= 1
    broken.write_bytes(content)
    broken.chmod(0o755)
    done = Program(broken)("doctor")
    assert done.code == 1
    assert "fail  payload" in done.out
    assert "copy or download the file again" in done.out
    assert Program(broken)("doctor", "--no-verify").code == 0

    missing = chat("doctor", "-m", "nowhere.gguf")
    assert missing.code == 1
    assert "fail  model" in missing.out

    cut = tmp_path / "cut.gguf"  # within the vocabulary, behind all hyperparameters
    cut.write_bytes(DEMO.read_bytes()[:8000])
    half = chat("doctor", "-m", str(cut))
    assert (1, "") == (half.code, half.err)
    assert re.search(r"fail  template +\S.*cut\.gguf is truncated", half.out)
    assert "warn  processor" in chat("doctor", "-t", "1000").out


def test_a_session_goes_on_where_it_was(chat: Program, tmp_path: Path) -> None:
    path = tmp_path / "ada.session"
    first = chat("-p", "My name is Ada.", "--session", str(path))
    assert first.code == 0, first.err
    assert "saved to" in first.err

    report = tmp_path / "report"
    second = chat("-p", "What is my name?", "--session", str(path), "--report", str(report))
    assert "Your name is Ada.\n" == second.out
    assert "opened" in second.err
    facts = json.loads(report.read_text())
    assert facts["prompt_tokens"] > facts["cached_tokens"] > facts["prompt_tokens"] // 2

    other = tmp_path / "other.gguf"
    other.write_bytes(DEMO.read_bytes()[:-1] + b"\0")
    third = chat("-p", "What is my name?", "--session", str(path), "-m", str(other))
    assert "Your name is Ada.\n" == third.out
    assert "it was computed with another model; its text is opened" in third.err


def test_conversations_are_saved_and_opened_by_name(chat: Program, clean_home: Path) -> None:
    saving = chat("-i", stdin="/save\n/save x\nMy name is Ada.\n/save ada\n")
    assert "a name is missing" in saving.out
    assert "there is nothing to save yet" in saving.out
    assert re.search(r"\(1 question, \d+ kB\)", saving.out)
    opening = chat("-i", stdin="/load ada\n/stats\nWhat is my name?\n/load eve\n")
    assert re.search(
        r"opened .*\(1 question\)\n> My name is Ada\.\n.*Ada\.\n"
        r"no answer yet · context [1-9]\d* of \d+\n",
        opening.out,
    )
    assert "Your name is Ada." in opening.out
    assert "eve.conversation cannot be opened" in opening.out


def test_a_session_from_elsewhere_is_read_anew(chat: Program, tmp_path: Path) -> None:
    """Its state would go to the engine as it is."""
    path = tmp_path / "ada.session"
    assert chat("-p", "My name is Ada.", "--session", str(path)).code == 0
    yours = {"XDG_DATA_HOME": str(tmp_path / "yours")}
    opened = chat("-p", "What is my name?", "--session", str(path), **yours)
    assert "Your name is Ada.\n" == opened.out
    assert (
        "not saved by you on this machine; its text is opened, and will be read anew" in opened.err
    )


def test_saving_destroys_nothing(chat: Program, clean_home: Path, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("precious\n")
    own = f"hi\n/save {letter}\n/save ada\nMy name is Ada.\n/save ada\n"
    first = chat("-i", stdin=own)
    assert "letter.txt is not a saved conversation: it is kept" in first.out
    assert "precious\n" == letter.read_text()
    assert 2 == first.out.count("saved to ")

    other = chat("-i", stdin="hi\n/save ada\n/load ada\n/save ada\n")
    assert "ada.conversation is another conversation, and is kept" in other.out
    assert re.search(r"saved to .*\(2 questions", other.out)


def test_a_report_replaces_reports_only(chat: Program, tmp_path: Path) -> None:
    report, letter = tmp_path / "report.json", tmp_path / "letter.txt"
    letter.write_text("precious\n")
    report.touch()
    for _ in range(2):
        assert chat(FRANCE, "--report", str(report)).code == 0
    assert "modelembed report" == json.loads(report.read_text())["kind"]

    refused = chat(FRANCE, "--report", str(letter))
    assert (2, "") == (refused.code, refused.out)
    assert "letter.txt exists already, and is no report" in refused.err
    large = tmp_path / "model.gguf"
    with open(large, "wb") as file:
        file.truncate(1 << 40)
    assert "model.gguf exists already, and is no report" in chat(FRANCE, "--report", str(large)).err
    assert "precious\n" == letter.read_text()

    nowhere = chat(FRANCE, "--report", str(tmp_path / "missing" / "report.json"))
    assert (2, "") == (nowhere.code, nowhere.out)
    assert "there is no folder" in nowhere.err


def test_answers_can_be_held_to_a_form(chat: Program, tmp_path: Path) -> None:
    schema = (
        '{"type": "object", "properties": {"a": {"enum": ["Paris", "Rome"]}}, "required": ["a"]}'
    )
    answer = json.loads(chat.ask(FRANCE, "--json-schema", schema))
    assert answer["a"] in ("Paris", "Rome")

    (tmp_path / "g.gbnf").write_text('root ::= "yes" | "no"')
    assert chat.ask(FRANCE, "--grammar", f"@{tmp_path / 'g.gbnf'}") in ("yes", "no")
    assert chat.ask(FRANCE, "--grammar-file", str(tmp_path / "g.gbnf")) in ("yes", "no")
    assert "The capital of " == chat.ask(FRANCE, "-r", "Nowhere", "-r", "France")

    refused = chat(FRANCE, "-j", '{"type": "whole"}')
    assert refused.code == 2
    assert "#/type" in refused.err


def test_thinking_that_cannot_be_switched_off_is_said(chat: Program) -> None:
    done = chat(FRANCE, "--no-think")

    assert f"{PARIS}\n" == done.out
    assert "--no-think is ignored" in done.err


TUTORIAL = "<start_of_turn>user\\nHello! How are you doing?<end_of_turn>\\n<start_of_turn>model\\n"
SHOWN = "<start_of_turn>user\nHello! How are you doing?<end_of_turn>\n<start_of_turn>model\n"


def test_a_prompt_is_continued_as_it_is(chat: Program) -> None:
    plain = chat("--raw", "-n", "4", "--temp", "0", "-p", "The capital of")
    assert plain.out.startswith("The capital of ")
    assert 0 == plain.code
    assert plain.out == chat("-no-cnv", "-n", "4", "--temp", "0", "-p", "The capital of").out
    alone = chat("--raw", "--no-display-prompt", "-n", "4", "--temp", "0", "-p", "The capital of")
    assert plain.out == "The capital of" + alone.out
    assert "a\\nb" in chat("--raw", "--no-escape", "-n", "1", "-p", "a\\nb").out

    refused = chat("--raw", "-i")
    assert 2 == refused.code
    assert "a chat needs the chat template" in refused.err


def test_escapes_are_read_in_stop_strings(chat: Program) -> None:
    assert "The capital of " == chat.ask(FRANCE, "-r", r"Fr\x61nce")
    assert PARIS == chat.ask(FRANCE, "-r", r"Fr\x61nce", "--no-escape")
    raw = chat("--raw", "--temp", "0", "-r", r"\x20Tallinn", "-p", "The capital of Estonia")
    assert "The capital of Estonia is\n" == raw.out


def test_a_typed_bos_is_kept_with_a_note(chat: Program, tmp_path: Path) -> None:
    model = ggufs.write_model(tmp_path / "bos.gguf", "gemma")
    for text, count in (("abc", 1), ("<s>abc", 2)):
        done = chat("-m", str(model), "--raw", "--special", "-n", "1", "-p", text)
        assert done.out.startswith(count * "<s>")
        assert not done.out.startswith((count + 1) * "<s>")
        assert ("the prompt begins with <s> twice" in done.err) == (count == 2)


def test_a_text_that_fills_the_context_is_said_to_be_cut(chat: Program) -> None:
    done = chat("--raw", "-c", "256", "--ignore-eos", "-p", "The capital of")

    assert 0 == done.code
    assert "the answer was cut: the context of 256 tokens is full (give more with -c)" in done.err


def test_the_tutorials_command_works_as_it_is(chat: Program) -> None:
    done = chat("-n", "64", "-c", "512", "-co", "-p", TUTORIAL)
    assert done.out.startswith(f"\x1b[33m{SHOWN}\x1b[0m")
    assert len(done.out) > len(SHOWN) + 12
    assert "the prompt has turns written out" in done.err

    quiet = chat("-n", "64", "-c", "512", "-no-cnv", "-co", "-p", TUTORIAL)
    assert quiet.out.startswith(f"\x1b[33m{SHOWN}\x1b[0m")
    assert "" == quiet.err
    assert "written out" not in chat("-n", "4", "--no-raw", "-p", TUTORIAL).err


def test_a_base_model_continues_texts(chat: Program, tmp_path: Path) -> None:
    base = ggufs.no_template(tmp_path / "base.gguf")
    done = chat("-m", str(base), "-n", "4", "-p", "Once upon a time")
    assert "the model has no chat template: it continues the text" in done.err
    assert "using 'chatml'" not in done.err
    assert "using 'chatml'" in chat("-m", str(base), "-n", "4", "--no-raw", "-p", "Once").err


def test_an_unknown_option_is_refused(chat: Program) -> None:
    for word in ("-no-xyz", "-nonsense", "--nonsense"):
        done = chat(word, "Hello")
        assert (2, "") == (done.code, done.out)
        assert f"no such option '{word}'" in done.err
