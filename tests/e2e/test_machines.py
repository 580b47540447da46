"""Several machines: heads and workers of the produced program, on loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lenders import Lender, lend
from program import Program
from server_client import FRANCE, asked, call, events, post, said, until
from servers import serve

from runtime.host.library_paths import RPC_PROTOCOL

LONG = ("--ignore-eos", "-n", "4000")
ITALY = "What is the capital of Italy?"


@pytest.fixture(scope="module")
def lenders(chat: Program) -> Iterator[list[Lender]]:
    with ExitStack() as stack:
        yield [stack.enter_context(lend(chat)) for _ in range(2)]


def at(*lenders: Lender) -> tuple[str, str]:
    return "--rpc", ",".join(lender.address for lender in lenders)


@pytest.mark.parametrize("count", [1, 2])
def test_answers_are_those_of_one_process(
    chat: Program, lenders: list[Lender], count: int, facts: dict[str, list[dict[str, str]]]
) -> None:
    questions = [fact["question"] for fact in facts["questions"][::200]]
    flags = at(*lenders[:count])
    for question in questions:
        done = chat("-p", question, *flags)

        assert (0, chat.ask(question)) == (done.code, done.out.removesuffix("\n")), done.err
        names = ", ".join(f"{lender.address} by RPC" for lender in lenders[:count])
        assert f"machines: {names}, 5 of 5 layers, " in done.err


def test_a_part_of_the_layers_stays_here(chat: Program, lenders: list[Lender]) -> None:
    done = chat("-p", FRANCE, "-ngl", "2", *at(*lenders))

    assert (0, "The capital of France is Paris.\n") == (done.code, done.out)
    assert "2 of 5 layers, " in done.err


def test_a_compressed_model_is_spread_too(forms: dict[str, Path], lenders: list[Lender]) -> None:
    done = Program(forms["zstd"])("-p", FRANCE, *at(*lenders))

    assert (0, "The capital of France is Paris.\n") == (done.code, done.out)


def test_a_name_that_leads_nowhere_is_said_at_once(chat: Program) -> None:
    begin = time.monotonic()
    done = chat("-p", FRANCE, "--rpc", "nowhere.invalid:50052")

    assert 1 == done.code
    assert done.err.startswith("error: there is no machine called nowhere.invalid (")
    assert time.monotonic() - begin < 15


def test_a_machine_without_a_worker_is_said(chat: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = chat("-p", FRANCE, "--rpc", f"localhost:{port}")

    assert 1 == done.code
    assert f"error: localhost:{port} cannot be reached: Connection refused" in done.err
    assert "hint: start it there: worker --port" in done.err


def test_a_server_of_another_kind_is_no_worker(chat: Program) -> None:
    with serve(chat) as server:
        done = chat("-p", FRANCE, "--rpc", f"localhost:{server.port}")

    assert 1 == done.code
    assert "answers, but not as a worker that fits this program" in done.err


def test_one_that_says_nothing_is_given_up(chat: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        done = chat("-p", FRANCE, "--rpc", f"localhost:{silent.getsockname()[1]}")

    assert 1 == done.code
    assert "answers, but not as a worker that fits this program" in done.err
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("wrong", ["here", "host:0", "host:x", "[::1]:50052", ":50052"])
def test_what_is_no_machine_is_a_wrong_use(chat: Program, wrong: str) -> None:
    done = chat("-p", FRANCE, "--rpc", wrong)

    assert 2 == done.code
    assert f"error: '{wrong}' is no machine and port" in done.err


def begun(program: Program, *flags: str) -> subprocess.Popen[bytes]:
    """Return a chat that reads its questions from a pipe, and answers for long."""
    command = [str(program.path), *program.flags, "-i", *LONG, *flags]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_chat_goes_on_without_the_worker_that_died(chat: Program, lenders: list[Lender]) -> None:
    with lend(chat) as mortal, begun(chat, *at(mortal, lenders[0])) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{FRANCE}\n{ITALY}\n".encode())
        process.stdin.close()
        seen = process.stdout.read(31)
        mortal.kill()
        rest = process.stdout.read().decode("utf-8", "replace")
        assert process.stderr is not None
        err = process.stderr.read().decode()

        assert 0 == process.wait(60)
    assert b"The capital of France is Paris." == seen
    assert f"error: the machine {mortal.address} was lost while it computed" in rest
    assert "the conversation goes on" in rest
    assert "The capital of Italy is Rome." in rest.partition("goes on")[2]
    assert f"going on without {mortal.address}" in err
    assert "by RPC, 5 of 5 layers, " in err.partition("going on without")[2]


def test_a_chat_keeps_its_turns_and_goes_on_alone(chat: Program, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with lend(chat) as mortal:
        command = [str(chat.path), "-i", *at(mortal), "--session", str(saved)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{FRANCE}\n".encode())
            process.stdin.flush()
            assert b"The capital of France is Paris.\n" == process.stdout.readline()
            mortal.kill()
            process.stdin.write(f"{ITALY}\n{ITALY}\n".encode())
            process.stdin.close()
            out = process.stdout.read().decode()
            assert process.stderr is not None
            err = process.stderr.read().decode()
            assert 0 == process.wait(60)
    assert "was lost while it computed" in out
    assert out.endswith("The capital of Italy is Rome.\n")
    assert "no other machine is left: everything is computed on this one" in err
    assert {"questions": 3} == {"questions": saved.read_bytes().count(b'"user"')}


def test_one_answer_ends_with_an_error(chat: Program) -> None:
    with lend(chat) as mortal:
        command = [str(chat.path), "-p", FRANCE, *LONG, *at(mortal)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.read(31)
            mortal.kill()
            err = process.stderr.read().decode()
            assert 1 == process.wait(30)
    assert f"error: the machine {mortal.address} was lost while it computed" in err
    assert "hint: see whether its worker still runs" in err


def test_a_worker_that_hangs_is_given_up(chat: Program) -> None:
    with lend(chat) as slow:
        command = [str(chat.path), "-p", FRANCE, *LONG, "--rpc-timeout", "2", *at(slow)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.read(31)
            for one in slow.processes():
                os.kill(one, signal.SIGSTOP)
            begin = time.monotonic()
            err = process.stderr.read().decode()
            assert 1 == process.wait(30)
            took = time.monotonic() - begin
            for one in slow.processes():
                os.kill(one, signal.SIGCONT)
    assert "was lost while it computed" in err
    assert 1 < took < 10


def test_a_slow_worker_is_waited_for(chat: Program) -> None:
    with lend(chat) as slow:
        command = [str(chat.path), "-p", FRANCE, "--ignore-eos", "-n", "600", *at(slow)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.read(31)
            for one in slow.processes():
                os.kill(one, signal.SIGSTOP)
            time.sleep(3)
            for one in slow.processes():
                os.kill(one, signal.SIGCONT)
            process.stdout.read()
            assert 0 == process.wait(60)


def test_a_server_goes_on_without_the_worker_that_died(
    chat: Program, lenders: list[Lender]
) -> None:
    with (
        lend(chat) as mortal,
        serve(chat, *at(mortal, lenders[0])) as server,
    ):
        body = {"stream": True, "max_tokens": 100_000, "ignore_eos": True}
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", json.dumps(asked(**body)))
        with connection.getresponse() as response:
            response.readline()
            mortal.kill()
            rest = response.read().decode()
        connection.close()

        assert '"error"' in rest
        assert f"the machine {mortal.address} was lost" in rest
        until(lambda: call(server, "POST", "/v1/chat/completions", asked())[0] != 503, 30)
        assert "The capital of France is Paris." == said(
            post(server, "/v1/chat/completions", asked(temperature=0))
        )
        assert events(server, "/v1/chat/completions", asked(temperature=0))
        assert any("going on without" in line for line in server.said)


def test_several_heads_share_a_worker(chat: Program, lenders: list[Lender]) -> None:
    command = [str(chat.path), "-p", FRANCE, *at(lenders[0])]
    heads = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]

    assert [b"The capital of France is Paris.\n"] * 4 == [head.communicate()[0] for head in heads]


def test_several_server_processes_are_refused(chat: Program, lenders: list[Lender]) -> None:
    done = chat("serve", "--workers", "2", "--port", "0", *at(lenders[0]))

    assert 2 == done.code
    assert "other machines compute for one worker process alone" in done.err


def test_doctor_tells_of_each_machine(chat: Program, lenders: list[Lender]) -> None:
    done = chat("doctor", *at(lenders[0]))

    assert 0 == done.code, done.out
    assert f"ok    machine      {lenders[0].address}: 1 device, " in done.out
    assert "of it on other devices" in done.out
    assert "by RPC, 5 of 5 layers" in done.out

    done = chat("doctor", "--rpc", "localhost:1")
    assert 1 == done.code
    assert "fail  machine      localhost:1 cannot be reached" in done.out


def test_info_tells_the_protocol(chat: Program) -> None:
    assert f"several machines  by RPC {RPC_PROTOCOL}," in chat("info").out


def test_bench_names_what_computes(chat: Program, lenders: list[Lender]) -> None:
    done = chat("bench", "-p", "8", "-n", "4", "-r", "1", *at(lenders[0]))

    assert 0 == done.code, done.err
    assert "| RPC" in done.out
