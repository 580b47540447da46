"""Made files: edited, upgraded, signed, taken apart, put beside, and never lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paths import DEMO, TESTS
from program import Program

from bundler.packing import rebuild_check
from bundler.stub import stub_python
from bundler.targets import here
from runtime.commands.bundles import edit
from runtime.container import bundle_file
from runtime.container.layout import COOKIE, COOKIE_MAGIC
from runtime.errors import AppError

GOLDEN = TESTS / "golden" / "minisign"
KEY, PUBLIC, FOREIGN = (
    GOLDEN / name for name in ("throwaway.key", "throwaway.pub", "encrypted.pub")
)
QUICK = ("--no-check", "--set", "temp=0")


@pytest.fixture
def made(forms: dict[str, Path], tmp_path: Path) -> Path:
    """A file of its own to be changed, compressed."""
    return Path(shutil.copy(forms["zstd"], tmp_path / "made"))


def facts(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Program(path)("inspect", "--json").out)
    return document


def test_both_sides_inspect_alike(modelembed: Program, made: Path) -> None:
    assert Program(made)("inspect", "--json").out == modelembed("inspect", str(made), "--json").out

    section = facts(made)["sections"][0]
    assert (
        DEMO.stat().st_size == section["size"] == sum(t["size"] for t in section["types"].values())
    )
    assert hashlib.sha256(DEMO.read_bytes()).hexdigest() == section["sha256"]
    data = made.read_bytes()[section["offset"] : section["offset"] + section["length"]]
    assert hashlib.sha256(data).hexdigest() == section["coded_sha256"]
    shown = Program(made)("inspect").out
    assert "F16" in shown and section["sha256"] in shown


@pytest.mark.parametrize("side", ["modelembed", "itself"])
def test_edit(modelembed: Program, made: Path, side: str) -> None:
    edit = (lambda *a: Program(made)("edit", *a)) if side == "itself" else (
        lambda *a: modelembed("edit", str(made), *a)
    )  # fmt: skip
    before = facts(made)["sections"]

    done = edit("--system", "Your name is Max.", "--name", "Max", "--set", "temp=0")
    assert done.code == 0, done.err
    assert Program(made).ask("What is your name?") == "My name is Max."
    assert facts(made)["name"] == "Max"

    assert edit("--unset", "system", "--license", "MIT").code == 0
    assert Program(made).ask("What is your name?") == "My name is Demo."
    assert facts(made)["defaults"] == {"temp": 0.0}
    assert facts(made)["model"]["license"] == "MIT"
    assert facts(made)["sections"] == before
    assert Program(made)("verify").out == "intact\n"
    assert [made.name] == os.listdir(made.parent)
    assert os.access(made, os.X_OK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to change"),
        (("--set", "temprature=1"), "did you mean 'temperature'"),
        (("--set", "chat_template=chatlm"), "no chat template called 'chatlm'"),
        (("--unset", "seed"), "no default 'seed'"),
        (("--remove", "model"), "cannot be removed"),
        (("--remove", "nothing"), "no part 'nothing'"),
        (("--lora", str(DEMO)), "no LoRA adapter"),
        (("--lora", "missing.gguf"), "cannot be read"),
        (("--system", "@missing.txt"), "cannot be read"),
    ],
)
def test_a_refused_edit_changes_nothing(
    modelembed: Program, made: Path, options: tuple[str, ...], message: str
) -> None:
    before = made.read_bytes()

    done = modelembed("edit", str(made), *options)

    assert done.code in (1, 2)
    assert message in done.err
    assert before == made.read_bytes()
    assert [made.name] == os.listdir(made.parent)


def test_edit_into_another_file_leaves_the_first(modelembed: Program, made: Path) -> None:
    before = made.read_bytes()
    other = made.with_name("other")

    assert modelembed("edit", str(made), "--name", "B", "-o", str(other)).code == 0
    again = modelembed("edit", str(made), "--name", "B", "-o", str(other))

    assert "exists already" in again.err
    assert "--force" not in again.err  # which it has not
    assert before == made.read_bytes()
    assert facts(other)["name"] == "B"


def test_what_is_missing_is_named(modelembed: Program, made: Path, tmp_path: Path) -> None:
    for name, command in (
        ("no.gguf", ("edit", str(made), "--lora", "no.gguf")),
        ("no.gguf", ("bundle", str(DEMO), "-o", str(tmp_path / "new"), "--lora", "no.gguf")),
        ("no.txt", ("edit", str(made), "--system", "@no.txt")),
        ("no.json", ("bundle", str(DEMO), "-o", str(tmp_path / "new"), "--config", "no.json")),
    ):
        done = modelembed(*command)
        assert 2 == done.code
        assert f"error: {name} cannot be read: No such file or directory\n\nhint: " in done.err


def test_a_signature_alone_is_a_change(modelembed: Program, made: Path, tmp_path: Path) -> None:
    done = modelembed("edit", str(made), "--sign", str(KEY))

    assert 0 == done.code, done.err
    assert "signed with key" in Program(made)("verify").err
    missing = Program(made)("verify", "--key", "no.pub")
    assert (2, True) == (missing.code, "error: no.pub cannot be read" in missing.err)
    large = tmp_path / "model.gguf"
    with open(large, "wb") as file:
        file.truncate(1 << 40)
    wrong = Program(made)("verify", "--key", str(large))
    assert (1, True) == (wrong.code, "the public key has more than" in wrong.err)


@pytest.mark.parametrize("golden", sorted(GOLDEN.parent.glob("bundle-v*.bin")))
def test_older_bundles_stay_whole(
    modelembed: Program, stub: Path, tmp_path: Path, golden: Path
) -> None:
    made = Path(shutil.copy(golden, tmp_path / "made"))
    for command in (
        ("edit", str(made), "--name", "B"),
        ("upgrade", str(made), "--stub", str(stub)),
    ):
        done = modelembed(*command)
        assert 0 == done.code, done.err
        assert "intact\n" == modelembed("verify", str(made)).out


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o644])
def test_edit_keeps_what_others_may_do(
    modelembed: Program, stub: Path, tmp_path: Path, mode: int
) -> None:
    made, copy = tmp_path / "made", tmp_path / "copy"
    shutil.copy(GOLDEN.parent / "bundle-v1-stored.bin", made)
    made.chmod(mode)
    marked = True
    try:
        os.setxattr(made, "user.origin", b"here")
    except OSError:
        marked = False
    for command in (
        ("edit", str(made), "--name", "B", "-o", str(copy)),
        ("edit", str(made), "--name", "B"),
        ("upgrade", str(made), "--stub", str(stub)),
    ):
        assert 0 == modelembed(*command).code
    assert [mode, mode] == [path.stat().st_mode & 0o7777 for path in (made, copy)]
    assert not marked or b"here" == os.getxattr(made, "user.origin")


def test_of_two_edits_at_once_none_is_lost(tmp_path: Path) -> None:
    made = Path(shutil.copy(GOLDEN.parent / "bundle-v1-stored.bin", tmp_path / "made"))

    def rename(name: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        bundle = bundle_file.load(made)
        try:
            edit.write_edited(
                bundle, made, edit.Change(name=name), tool="test",
                sign=lambda _: str(meanwhile() or ""),
            )  # fmt: skip
        finally:
            bundle.close()

    def refused() -> None:
        with pytest.raises(AppError, match="is being changed by another edit"):
            rename("second")

    rename("first", refused)
    assert "first" == json.loads(bundle_file.load(made).encoded_manifest)["name"]

    def replaced() -> None:
        shutil.copy(made, tmp_path / "other")
        (tmp_path / "other").rename(made)

    with pytest.raises(AppError, match="was changed meanwhile"):
        rename("third", replaced)
    with pytest.raises(AppError, match="was changed meanwhile"):
        rename("third", lambda: os.utime(made, (1, 1)))
    late = bundle_file.load(made)
    rename("fourth")
    with pytest.raises(AppError, match="was changed meanwhile"):
        edit.write_edited(late, made, edit.Change(name="fifth"), tool="test")
    late.close()
    assert "fourth" == json.loads(bundle_file.load(made).encoded_manifest)["name"]
    assert {"made"} == set(os.listdir(tmp_path))


def test_upgrade_puts_the_same_model_under_another_runtime(
    modelembed: Program, made: Path, stub: Path
) -> None:
    # A runtime that differs in what it says about itself is another one.
    document = facts(made)
    done = modelembed("upgrade", str(made), "--stub", str(stub))

    assert done.code == 0, done.err
    assert document["sections"] == facts(made)["sections"]
    assert Program(made)("verify").out == "intact\n"
    refused = modelembed("upgrade", str(made), "--stub", str(DEMO))
    assert refused.code == 1
    assert "is a model, not yet a program" in refused.err
    assert f"modelembed bundle {DEMO}" in refused.err


def test_rebuild_check(modelembed: Program, forms: dict[str, Path], made: Path) -> None:
    for form in ("stored", "zstd"):
        assert modelembed("rebuild-check", str(forms[form])).out == "the same bytes\n"
        assert modelembed("rebuild-check", str(forms[form]), str(DEMO)).code == 0

    section = facts(made)["sections"][0]
    with open(made, "r+b") as file:
        file.seek(section["offset"] + section["length"] // 2)
        file.write(b"damage")
    done = modelembed("rebuild-check", str(made), str(DEMO))
    assert done.code == 1
    assert "part 'model': differs" in done.err


def test_rebuild_check_of_another_model(
    modelembed: Program, forms: dict[str, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.gguf"
    data = bytearray(DEMO.read_bytes())
    data[-1] ^= 1
    for content in (data, data + bytes(32)):
        other.write_bytes(content)
        done = modelembed("rebuild-check", str(forms["stored"]), str(other))
        assert (2, "") == (done.code, done.out)
        assert f"{other} is not the model that was bundled" in done.err
        assert hashlib.sha256(DEMO.read_bytes()).hexdigest() in done.err
        assert "runtime" not in done.err


def test_rebuild_check_where_nothing_may_be_written(forms: dict[str, Path], stub: Path) -> None:
    bundle, runtime = bundle_file.load(forms["stored"]), bundle_file.load(stub)
    try:
        assert [] == rebuild_check.check(replace(bundle, path="/proc/stored"), runtime, None)
    finally:
        bundle.close()
        runtime.close()


def test_rebuild_check_of_two_files(modelembed: Program, tmp_path: Path) -> None:
    target, beside = tmp_path / "chat", tmp_path / "chat.payload"
    modelembed("bundle", str(DEMO), "-o", str(target), "--sidecar", "--sign", str(KEY), *QUICK)

    for model in ((), (str(DEMO),)):
        done = modelembed("rebuild-check", str(target), *model)
        assert (0, "the same bytes\n") == (done.code, done.out), done.err
    with open(beside, "r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    done = modelembed("rebuild-check", str(target), str(DEMO))
    assert 1 == done.code
    assert "chat.payload, part 'model': differs 1,000 bytes" in done.err


def test_signatures(modelembed: Program, tmp_path: Path) -> None:
    target = tmp_path / "chat"
    done = modelembed("bundle", str(DEMO), "-o", str(target), "--sign", str(KEY), *QUICK)
    assert done.code == 0, done.err
    program = Program(target)

    assert "which was not checked" in program("verify").err
    for key in (str(PUBLIC), PUBLIC.read_text().splitlines()[1]):
        checked = program("verify", "--key", key)
        assert (checked.code, checked.out) == (0, "intact\n"), checked.err
        assert "modelembed demo" in checked.err
    foreign = program("verify", "--key", str(FOREIGN))
    assert foreign.code == 1
    assert "expected key" in foreign.err

    assert program("extract", "manifest", "-o", str(tmp_path / "m")).code == 0
    if tool := shutil.which("minisign"):
        command = [tool, "-Vm", str(tmp_path / "m"), "-p", str(PUBLIC)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0

    edited = modelembed("edit", str(target), "--name", "B")
    assert "no longer signed" in edited.err
    assert "is not signed" in program("verify", "--key", str(PUBLIC)).err
    assert modelembed("edit", str(target), "--name", "C", "--sign", str(KEY)).code == 0
    assert program("verify", "--key", str(PUBLIC)).code == 0


def test_a_signature_covers_the_runtime(modelembed: Program, tmp_path: Path) -> None:
    target = tmp_path / "chat"
    modelembed("bundle", str(DEMO), "-o", str(target), "--sign", str(KEY), *QUICK)
    data = bytearray(target.read_bytes())
    # Past the launcher's code that runs first: a place in the archive.
    place = data.index(b"licenses.json") + 1
    data[place] ^= 1
    target.write_bytes(data)

    done = modelembed("verify", str(target), "--key", str(PUBLIC))

    assert done.code == 1
    assert "archive" in done.err and "damaged" in done.err


def with_another_program(data: bytes) -> bytes:
    """Return a made file with a script behind it that the launcher runs instead of ours."""
    end = data.rindex(COOKIE_MAGIC)
    _, length, toc, toc_length, python, library = COOKIE.unpack_from(data, end)
    start = end + COOKIE.size - length
    entry = struct.Struct("!IIIIBc")
    code = compiled("import os; os.write(1, b'foreign\\n'); os._exit(0)")
    script, place = zlib.compress(code), start + toc
    table, taken = b"", False
    while place < start + toc + toc_length:
        size, *fields = entry.unpack_from(data, place)
        name = data[place + entry.size : place + size]
        if fields[4] == b"s" and not taken:
            taken, fields = True, [len(data) - start, len(script), len(code), 1, b"s"]
        table += entry.pack(size, *fields) + name
        place += size
    where = len(data) + len(script) - start
    total = where + len(table) + COOKIE.size
    cookie = COOKIE.pack(COOKIE_MAGIC, total, where, len(table), python, library)
    return data + script + table + cookie


def compiled(code: str) -> bytes:
    """Return a script as the Python in stubs reads it."""
    target = here()
    assert target
    python = next(stub_python.plans(target)).prepared(print)
    dump = "import marshal, os, sys; os.write(1, marshal.dumps(compile(sys.argv[1], 'x', 'exec')))"
    command = [python.program, "-c", dump, code]
    return subprocess.run(command, env=python.environ(), capture_output=True, check=True).stdout


def test_a_signed_file_has_nothing_else_in_it(modelembed: Program, tmp_path: Path) -> None:
    target = tmp_path / "chat"
    modelembed("bundle", str(DEMO), "-o", str(target), "--sign", str(KEY), *QUICK)
    data = target.read_bytes()
    forged = tmp_path / "forged"
    forged.write_bytes(with_another_program(data))
    forged.chmod(0o755)
    # It does run, which nothing of ours can prevent: a stranger's file is checked from outside.
    assert "foreign\n" == Program(forged)("hello").out

    for options in ((), ("--key", str(PUBLIC))):
        done = modelembed("verify", str(forged), *options)
        assert (1, "") == (done.code, done.out)
        assert "another program in it" in done.err
        assert "do not run it" in done.err

    section = json.loads(modelembed("inspect", str(target), "--json").out)["sections"][0]
    gap, table = section["offset"] - 1, len(data) - 10
    for place in (gap, table):
        damaged = bytearray(data)
        damaged[place] ^= 4
        target.write_bytes(damaged)
        done = modelembed("verify", str(target), "--key", str(PUBLIC))
        assert (1, "") == (done.code, done.out)


def test_sidecar(modelembed: Program, tmp_path: Path) -> None:
    target, beside = tmp_path / "chat", tmp_path / "chat.payload"
    done = modelembed("bundle", str(DEMO), "-o", str(target), "--sidecar", *QUICK)
    assert done.code == 0, done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chat", "chat.payload"]
    program = Program(target)
    question, answer = "What is the capital of France?", "The capital of France is Paris."

    assert program.ask(question) == answer
    assert program("verify").out == "intact\n"
    assert modelembed("edit", str(target), "--name", "B").code == 0
    assert program.ask(question) == answer
    renamed = target.rename(tmp_path / "renamed")
    assert Program(renamed).ask(question) == answer
    (tmp_path / "link").symlink_to(renamed)
    assert Program(tmp_path / "link").ask(question) == answer
    assert modelembed("extract", str(renamed), "-o", str(tmp_path / "m.gguf")).code == 0
    assert DEMO.read_bytes() == (tmp_path / "m.gguf").read_bytes()

    whole = beside.read_bytes()
    beside.write_bytes(whole[:-100_000])
    assert "100 kB short" in Program(renamed)(question).err
    other = tmp_path / "other"
    modelembed("bundle", str(DEMO), "-o", str(other), "--sidecar", "--compress", "none", *QUICK)
    (tmp_path / "other.payload").rename(beside)
    assert "does not belong to" in Program(renamed)(question).err
    beside.unlink()
    missing = Program(renamed)(question)
    assert missing.code == 1
    assert "is missing" in missing.err
    assert "Traceback" not in missing.err


def test_only_the_program_of_two_files_is_changed(
    modelembed: Program, stub: Path, tmp_path: Path
) -> None:
    target, beside = tmp_path / "chat", tmp_path / "chat.payload"
    modelembed("bundle", str(DEMO), "-o", str(target), "--sidecar", *QUICK)
    before = beside.read_bytes()
    for command in (("edit", "--name", "X"), ("upgrade", "--stub", str(stub))):
        name, *rest = command
        done = modelembed(name, str(beside), *rest)
        assert (2, before) == (done.code, beside.read_bytes())
        assert "holds the parts of a program, and is none itself" in done.err

    here, folder = tmp_path / "other", tmp_path / "elsewhere"
    folder.mkdir()
    done = modelembed("edit", str(target), "--name", "X", "-o", str(here))
    assert (0, False) == (done.code, "warning" in done.err)  # it finds chat.payload
    assert "intact\n" == modelembed("verify", str(here)).out
    there = folder / "chat"
    done = modelembed("edit", str(target), "--name", "X", "-o", str(there))
    assert 0 == done.code
    (hint,) = [line for line in done.err.splitlines() if "does not run yet" in line]
    subprocess.run(hint.rpartition("; ")[2], shell=True, check=True)
    assert Program(there).ask("What is the capital of France?") == "The capital of France is Paris."


def test_what_only_has_the_name_of_the_parts_is_passed_over(
    modelembed: Program, tmp_path: Path
) -> None:
    target, beside = tmp_path / "chat", tmp_path / "chat.payload"
    modelembed("bundle", str(DEMO), "-o", str(target), "--sidecar", *QUICK)
    talk = target.rename(tmp_path / "talk")
    foreign = tmp_path / "talk.payload"
    foreign.write_bytes(b"of something else")
    assert "intact\n" == modelembed("verify", str(talk)).out
    foreign.unlink()
    os.mkfifo(foreign)
    assert "intact\n" == modelembed("verify", str(talk)).out
    foreign.unlink()
    foreign.mkdir()
    assert "intact\n" == modelembed("verify", str(talk)).out
    beside.unlink()
    done = Program(talk)("hello")
    assert 1 == done.code
    assert "talk.payload, which should hold the model of" in done.err
    assert "Is a directory" in done.err


def test_parts_that_may_not_be_read(modelembed: Program) -> None:
    # In a folder that everybody may look into: root may read everything, so somebody else tries.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        target, beside = folder / "chat", folder / "chat.payload"
        modelembed("bundle", str(DEMO), "-o", str(target), "--sidecar", *QUICK)
        root = os.getuid() == 0
        beside.chmod(0o600 if root else 0)
        done = subprocess.run(
            [target, "hello"], user=65534 if root else None, capture_output=True, text=True,
            check=False, env={**os.environ, "HOME": "/nonexistent"},
        )  # fmt: skip

    assert (1, "") == (done.returncode, done.stdout)
    assert "cannot be read: Permission denied" in done.stderr
    assert f"chmod a+r {beside}" in done.stderr
    assert "download" not in done.stderr


def test_a_model_kept_unpacked(
    made: Path, clean_home: Path, forms: dict[str, Path], modelembed: Program
) -> None:
    program = Program(made)
    question, answer = "What is the capital of France?", "The capital of France is Paris."
    kept = clean_home / "cache" / "modelembed" / "models"

    assert program("cache", "list").out == "nothing is kept\n"
    for _ in range(2):
        assert program.ask(question, "--cache", "--temp", "0") == answer
        names = [path.name for path in kept.iterdir() if path.suffix == ".gguf"]
        assert [hashlib.sha256(DEMO.read_bytes()).hexdigest() + ".gguf"] == names
    assert program("cache", "list").out.endswith(" in 1 model\n")

    assert modelembed("edit", str(made), "--set", "cache=true", "--set", "temp=0").code == 0
    (kept / names[0]).unlink()
    assert program.ask(question) == answer
    assert (kept / names[0]).exists()

    assert "deleted 1 model, " in program("cache", "clear").out
    assert "nothing is kept" in program("cache", "list").out


def test_a_kept_model_that_others_can_write_is_not_believed(made: Path, clean_home: Path) -> None:
    program = Program(made, ("--temp", "0", "--cache"))
    program.ask("hello")
    kept = next((clean_home / "cache" / "modelembed" / "models").glob("*.gguf"))
    kept.chmod(0o666)
    kept.write_bytes(bytes(kept.stat().st_size))

    assert program.ask("What is the capital of France?") == "The capital of France is Paris."


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.9, 0.9999])
def test_a_cut_file_says_how_much_is_missing(modelembed: Program, made: Path, share: float) -> None:
    size = made.stat().st_size
    os.truncate(made, int(size * share))

    for command in ("verify", "inspect"):
        done = modelembed(command, str(made))
        assert done.code == 1
        assert "short" in done.err and "download or copy it again" in done.err


@pytest.mark.parametrize("tool", ["strip", "objcopy"])
def test_tools_that_rewrite_programs_leave_it_whole(made: Path, tool: str) -> None:
    if not (found := shutil.which(tool)):
        pytest.skip(f"no {tool} here")
    subprocess.run([found, str(made)], check=True)

    assert Program(made)("verify").out == "intact\n"
    assert Program(made)("inspect").code == 0
