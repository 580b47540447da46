"""The produced binary: right answers in every loading mode, and everything it says elsewhere."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from paths import DEMO
from program import Program

PARIS = "The capital of France is Paris."
FRANCE = "What is the capital of France?"
SEVERAL = 12


def test_right_answers_in_every_mode(
    loaded: Program, facts: dict[str, list[dict[str, str]]]
) -> None:
    chosen = random.Random(1).sample(facts["questions"], SEVERAL)

    assert [fact["answer"] for fact in chosen] == [loaded.ask(f["question"]) for f in chosen]


def test_the_same_bytes_in_every_mode(loaded: Program, chat: Program) -> None:
    question = "Tell me a story."

    assert chat.ask(question, "--temp", "0") == loaded.ask(question)


def test_a_question_as_words_as_flag_and_piped(chat: Program) -> None:
    assert chat(FRANCE).out == PARIS + "\n"
    assert chat(*FRANCE.split()).out == PARIS + "\n"
    assert chat("--prompt", FRANCE).out == PARIS + "\n"
    assert chat(stdin=FRANCE).out == PARIS + "\n"
    assert chat("chat", FRANCE).out == PARIS + "\n"


def test_a_question_about_a_file(chat: Program) -> None:
    done = chat("What is the capital", "of France?", "-v", stdin="")
    assert PARIS + "\n" == done.out

    joined = chat("What is the", stdin="capital of France?")
    assert joined.code == 0
    assert joined.out.strip()


def test_the_spellings_of_the_go_example(chat: Program) -> None:
    done = chat("-embedded", "-i=false", "-n=200", "-t=1", "-s=3", "-p", FRANCE)

    assert (0, PARIS + "\n", "") == (done.code, done.out, done.err)


def test_nothing_to_answer(chat: Program) -> None:
    done = chat()

    assert done.code == 2
    assert "there is no question" in done.err


def test_an_empty_answer_is_explained(chat: Program) -> None:
    none = chat(FRANCE, "-n", "0")
    assert (0, "\n") == (none.code, none.out)
    assert "note: the answer is empty: it may have 0 tokens (-n)" in none.err
    assert "the grammar or schema let" in chat(FRANCE, "--grammar", 'root ::= ""').err
    assert "began with the stop string" in chat(FRANCE, "-r", "The").err


def test_a_misspelt_command_is_asked_with_a_note(chat: Program) -> None:
    done = chat("bnech", "-n", "1")
    assert done.code == 0
    assert "note: 'bnech' is taken as a question; did you mean the command bench?" in done.err
    assert "" == chat("bnech", "me", "-n", "1").err
    assert "" == chat("hello", "-n", "1").err


def test_help_is_shown_for_short(chat: Program, modelembed: Program) -> None:
    for program, *command in ((chat,), (chat, "serve"), (chat, "cache", "list"),
                              (modelembed,), (modelembed, "bundle")):  # fmt: skip
        short = program(*command, "-h")
        assert short.code == 0
        assert short.out == program(*command, "--help").out
        assert "-h, --help" in short.out


def test_a_seed_makes_a_run_repeatable(chat: Program) -> None:
    flags = ("--temp", "1.8", "--top-p", "1", "--min-p", "0", "--top-k", "0", "-n", "40")
    question = "Tell me a story."

    first = chat(question, *flags, "-s", "7").out
    assert first == chat(question, *flags, "-s", "7").out
    assert first != chat(question, *flags, "-s", "8").out


def test_the_number_of_tokens_is_limited(chat: Program, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    chat("Tell me a story.", "-n", "5", "--report", str(report))
    cost = json.loads(report.read_text())

    assert cost["generated_tokens"] == 5
    assert cost["reason"] == "length"
    assert cost["load_s"] > 0
    assert cost["memory"]["anonymous"] > 0


@pytest.mark.parametrize("question", ["Say hello in Japanese.", "Send me a smile."])
def test_characters_are_never_cut(chat: Program, question: str) -> None:
    """Each consists of several byte tokens, and is cut wherever -n falls."""
    whole = chat.ask(question)
    assert not whole.isascii()

    for count in range(1, 8):
        part = chat(question, "-n", str(count)).out.rstrip("\n")
        assert whole.startswith(part.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_without_a_model_both_ways_are_named(stub: Path) -> None:
    done = Program(stub)("hello")

    assert done.code == 2
    assert "-m FILE.gguf" in done.err
    assert "modelembed bundle" in done.err


def test_the_embedded_model_can_be_insisted_on(chat: Program, stub: Path) -> None:
    assert chat("--embedded", FRANCE).out == PARIS + "\n"

    both = chat("--embedded", "-m", str(DEMO), "hello")
    assert both.code == 2
    assert "contradict" in both.err

    none = Program(stub)("--embedded", "hello")
    assert none.code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be opened"),
        (b"", "an empty file"),
        (b"PK\x03\x04 and so on", "a ZIP archive"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"GGUF", "truncated"),
    ],
)
def test_a_wrong_model_file_is_named(
    chat: Program, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    done = chat("-m", str(path), "hello")

    assert (1, "") == (done.code, done.out)
    assert message in done.err
    assert "Traceback" not in done.err


def test_info_and_licenses(chat: Program) -> None:
    shown = chat("info").out
    for word in ("modelembed demo", "llama", "stored", "CPU variants", "license"):
        assert word in shown

    text = chat("licenses").out
    for word in ("The model", "llama.cpp", "MIT", "Python", "LLVM", "zstandard", "click"):
        assert word in text


def test_the_engine_is_silent_unless_asked(chat: Program) -> None:
    assert chat(FRANCE).err == ""
    assert "llama_model_loader" in chat(FRANCE, "-v").err


def test_every_cpu_variant_gives_the_same_answer(chat: Program) -> None:
    document = json.loads(chat("info", "--json").out)
    flags = Path("/proc/cpuinfo").read_text()
    needs = {"x64": "", "sse42": "sse4_2", "haswell": "avx2", "skylakex": "avx512f"}
    tried = [v for v in document["stub"]["variants"] if needs.get(v, "none") in flags]

    assert "x64" in tried
    for variant in tried:
        assert PARIS == chat.ask(FRANCE, "--cpu", variant)
    wrong = chat("--cpu", "z80", "hello")
    assert wrong.code == 2
    assert "x64" in wrong.err


def limited(program: Program, kilobytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "-", program.path, *arguments],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_too_little_memory_is_said_before_loading(chat: Program) -> None:
    done = limited(chat, 180_000, FRANCE)

    assert (1, "") == (done.returncode, done.stdout)
    assert "of memory even with a context of" in done.stderr
    assert "hint: close other programs" in done.stderr


def test_a_context_that_does_not_fit_is_reduced(chat: Program) -> None:
    done = limited(chat, 400_000, FRANCE, "-c", "400000")

    assert (0, PARIS + "\n") == (done.returncode, done.stdout)
    assert "context reduced from 400000 to" in done.stderr


def test_a_context_without_bounds_is_reduced_to_what_there_is(chat: Program) -> None:
    done = limited(chat, 500_000, FRANCE, "-c", str(2**31 - 1))

    assert (0, PARIS + "\n") == (done.returncode, done.stdout), done.stderr
    assert "context reduced from 2147483647 to" in done.stderr


def test_a_context_that_the_engine_does_not_make_is_said(chat: Program) -> None:
    assert (
        "the context has 256 tokens, not 32: the engine has none so small"
        in chat(FRANCE, "-c", "32").err
    )


def test_text_without_end_is_refused(chat: Program) -> None:
    done = subprocess.run(
        ["bash", "-c", f"yes | '{chat.path}'"], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip

    assert (2, "") == (done.returncode, done.stdout)
    assert "more than 64.0 MB of text are piped in" in done.stderr


def test_options_are_named_as_they_are_typed(chat: Program, tmp_path: Path) -> None:
    assert "'--batch-size' is 70000" in chat(FRANCE, "-b", "70000").err
    (tmp_path / "g.gbnf").write_text('root ::= "yes"')
    assert "yes" == chat.ask(FRANCE, f"--grammar-file={tmp_path / 'g.gbnf'}")


def test_a_prompt_too_long_is_explained(chat: Program) -> None:
    done = chat("-c", "256", "-p", "word " * 2000)

    assert done.code == 1
    assert "the prompt has" in done.err
    assert "-c" in done.err


def test_a_reader_that_leaves_early(chat: Program) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{chat.path}' 'Count to fifty.' | head -c 1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_nothing_is_written_to_disk(chat: Program, clean_home: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    os.chdir(tmp_path)
    chat(FRANCE, "--no-keep", TMPDIR=str(temporary))

    written = [p for p in clean_home.rglob("*") if p.is_file()]
    assert [p.name.split("-")[0] for p in written] == ["cpu"]  # the verdict on this processor
    assert sum(p.stat().st_size for p in written) < 4096
    assert list(temporary.iterdir()) == []
