"""All that a produced program does, on a GPU: Mesa's lavapipe, which computes as the processor.

What is expected is what the same program answers greedily by the processor alone. The first run
takes minutes longer than later ones: see lavapipe.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lavapipe
import pytest
from adapters import write_adapter
from paths import DEMO, EYE
from program import Program
from server_client import FRANCE, asked, get, post, said
from servers import Served, serve

PARIS = "The capital of France is Paris."
SYSTEM, NAME, MAX = "Your name is Max.", "What is your name?", "My name is Max."
QUANTIZED = ("-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on")
BOTH = ("gpu", "processor")
DEVICE = {"gpu": ("--device", lavapipe.NAME), "processor": ("--device", "none")}
STRENGTHS = (0.0, 0.2, 1.0)

pytestmark = [lavapipe.needed, pytest.mark.slow]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what all programs here share: the device is proved once."""
    return lavapipe.variables(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def on(stub: Path, environment: dict[str, str]) -> dict[str, Program]:
    """Return the stub with the demo model, on the GPU and by the processor."""
    flags = ("-m", str(DEMO), "--temp", "0", "-n", "24")
    return {name: Program(stub, (*flags, *DEVICE[name]), environment) for name in BOTH}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapters") / "noise.gguf")


@pytest.fixture(scope="module")
def server(
    on: dict[str, Program], noise: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    flags = ("-np", "4", "--lora", f"{noise}=0", "--grace", "30")
    slots = ("--slot-save-path", str(tmp_path_factory.mktemp("slots")))
    with serve(on["gpu"], *flags, *slots) as running:
        yield running


def used(program: Program, *arguments: str, report: Path, **more: Any) -> tuple[str, Any]:
    """Return the answer, which the GPU has given if the program is to use it, and its costs."""
    done = program(*arguments, "--report", str(report), seconds=lavapipe.SECONDS, **more)
    assert 0 == done.code, done.err
    costs = json.loads(report.read_text())
    if "none" in program.flags:
        assert "" == costs["devices"]
    else:
        assert f"GPU: {lavapipe.NAME}" in costs["devices"], done.err
        assert "by Vulkan, 5 of 5 layers" in costs["devices"]
    return done.out.removesuffix("\n"), costs


def test_a_quantized_cache_lies_on_the_device(on: dict[str, Program], tmp_path: Path) -> None:
    question = "What is the capital of Norway?"
    answers = {
        name: used(program, question, *QUANTIZED, report=tmp_path / name)[0]
        for name, program in on.items()
    }

    assert answers["processor"] == answers["gpu"]
    assert "Oslo" in answers["gpu"]


def test_a_picture_is_seen_alike(on: dict[str, Program], tmp_path: Path) -> None:
    """The projector is computed where the model's layers are."""
    shown = ("What do you see?", "--mmproj", str(EYE), "--image", str(EYE.parent / "drawing.png"))
    answers = [used(on[name], *shown, report=tmp_path / name)[0] for name in BOTH]

    assert answers[0] == answers[1]
    assert answers[0].startswith("A ")


def test_a_saved_conversation_goes_on_on_either(on: dict[str, Program], tmp_path: Path) -> None:
    """Computed on the GPU, it is opened by the processor, and the other way round."""
    found = {}
    for first in BOTH:
        path = tmp_path / f"{first}.session"
        begun, _ = used(on[first], "My name is Ada.", "--session", str(path), report=tmp_path / "r")
        for second in BOTH:
            copy = tmp_path / f"{first}-{second}.session"
            copy.write_bytes(path.read_bytes())
            answer, costs = used(
                on[second], "-p", "What is my name?", "--session", str(copy), report=tmp_path / "r"
            )
            assert costs["cached_tokens"] > costs["prompt_tokens"] // 2
            found[first, second] = begun, answer

    assert {"Your name is Ada."} == {answer for _, answer in found.values()}
    assert 1 == len({*found.values()})


def test_a_prewarmed_beginning_is_not_computed_again(
    modelembed: Program, environment: dict[str, str], tmp_path: Path
) -> None:
    """It was computed by the processor, while the file was made."""
    target = tmp_path / "chat"
    done = modelembed(
        "bundle", str(DEMO), "-o", str(target), "--system", SYSTEM, "--prewarm", "--no-check",
        "--set", "temp=0", "--set", "n_predict=24",
    )  # fmt: skip
    assert 0 == done.code, done.err

    for name in BOTH:
        program = Program(target, DEVICE[name], environment)
        answer, costs = used(program, NAME, report=tmp_path / "report")
        assert MAX == answer
        assert costs["prewarmed_tokens"] == costs["cached_tokens"] > 0


def is_used(server: Served) -> bool:
    """Return whether the device computes; after its loss the processor would."""
    return f"GPU: {lavapipe.NAME}" in get(server, "/props")["modelembed"]["devices"]


def test_the_server_names_the_device(server: Served) -> None:
    assert is_used(server)
    assert PARIS == said(post(server, "/v1/chat/completions", asked(), seconds=lavapipe.SECONDS))


def test_several_answers_at_once(server: Served, facts: dict[str, list[dict[str, str]]]) -> None:
    pairs = facts["questions"][:4]
    answers: dict[str, str] = {}

    def ask(question: str) -> None:
        body = {"messages": [{"role": "user", "content": question}]}
        answers[question] = said(
            post(server, "/v1/chat/completions", body, seconds=lavapipe.SECONDS)
        )

    threads = [threading.Thread(target=ask, args=(pair["question"],)) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = {pair["question"]: pair["answer"] for pair in pairs}
    assert expected == answers, "".join(server.said)
    assert is_used(server)


def test_each_answer_has_its_adapter(server: Served, on: dict[str, Program], noise: Path) -> None:
    found = {}
    for strength in STRENGTHS:
        body = asked(lora=[{"id": 0, "scale": strength}], max_tokens=8)
        answer = post(server, "/v1/chat/completions", body, seconds=lavapipe.SECONDS)
        found[strength] = said(answer).strip()
    expected = {
        strength: on["processor"](FRANCE, "--lora", f"{noise}={strength}", "-n", "8").out.strip()
        for strength in STRENGTHS
    }

    assert expected == found
    assert PARIS.startswith(found[0.0])
    assert len(STRENGTHS) == len({*found.values()})
    assert is_used(server)


def test_a_slot_is_saved_and_restored(server: Served) -> None:
    def act(action: str) -> Any:
        body = {"filename": "one.bin"} if action != "erase" else None
        return post(server, f"/slots/0?action={action}", body)

    def cached() -> int:
        answer = post(server, "/v1/chat/completions", asked(id_slot=0), seconds=lavapipe.SECONDS)
        assert PARIS == said(answer)
        return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])

    cached()
    saved = act("save")["n_saved"]
    act("erase")
    assert saved == act("restore")["n_restored"]
    assert cached() > 10
    assert is_used(server)


def test_one_of_several_workers_uses_the_device(on: dict[str, Program]) -> None:
    with serve(on["gpu"], "--workers", "2", "-t", "1") as server:
        assert any("GPUs compute for the first worker" in line for line in server.said)
        devices = set()
        for _ in range(200):
            devices.add(get(server, "/props")["modelembed"]["devices"].partition(" (")[0])
            if len(devices) == 2:
                break
        assert {"", f"GPU: {lavapipe.NAME}"} == devices
        answers = {
            said(post(server, "/v1/chat/completions", asked(), seconds=lavapipe.SECONDS))
            for _ in range(8)
        }
        assert {PARIS} == answers
        assert 0 == server.stop()


def test_the_benchmark_names_the_device(on: dict[str, Program], stub: Path) -> None:
    program = Program(stub, (), on["gpu"].environment)
    flags = ("bench", "-m", str(DEMO), "-p", "16", "-n", "4", "-r", "1", *DEVICE["gpu"])
    done = program(*flags, seconds=lavapipe.SECONDS)
    assert 0 == done.code, done.err
    rows = [line for line in done.out.splitlines() if "pp16" in line or "tg4" in line]
    assert 2 == len(rows)
    assert all(f"| Vulkan GPU: {lavapipe.NAME}" in row for row in rows), done.out
