"""The fallback, against a server that behaves as badly as others' may."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from paths import DEMO
from program import Program
from server_client import call
from servers import serve
from terminals import Terminal

from bundler.commands import self_check
from runtime.commands.option_precedence import merged_options
from runtime.container import bundle_file, section_io
from runtime.container.bundle_file import Bundle
from runtime.container.layout import Footer, Manifest
from runtime.container.writer import Stub, write_bundle
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.fallback.remote_client import RemoteAnswerer, RemoteServer
from runtime.errors import AppError, ModelError
from runtime.host.atomic_write import publish
from runtime.options.registry import Options

FRANCE = "What is the capital of France?"


def delta(content: object) -> str:
    """Return a line of a stream."""
    return f"data: {json.dumps({'choices': [{'delta': {'content': content}}]})}\n\n"


@dataclass(frozen=True)
class Sent:
    """All that reaches the other server of a request."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@contextmanager
def other(
    *lines: str | threading.Event,
    asked: list[dict[str, Any]] | None = None,
    sent: list[Sent] | None = None,
) -> Iterator[str]:
    """Give the address of a server that answers `lines`; an event is waited for between them.

    What it is asked is appended to `asked`, as it was sent to `sent`.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if asked is not None:
                asked.append(json.loads(data))
            if sent is not None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                sent.append(Sent(self.path, headers, data))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for line in lines:
                if isinstance(line, threading.Event):
                    line.wait(60)
                else:
                    self.wfile.write(line.encode())
                    self.wfile.flush()

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            for line in lines:
                if isinstance(line, threading.Event):
                    line.set()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.gguf"
    path.write_bytes(DEMO.read_bytes()[:100_000])
    return path


def told(url: str) -> tuple[str, ...]:
    return ("--fallback-on-error", "--fallback-base-url", url, "--fallback-model", "spare")


def test_a_report_tells_what_the_other_server_cost(
    chat: Program, broken: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    with other(delta("Pa"), delta("ris"), "data: [DONE]\n\n") as url:
        done = chat(FRANCE, "-m", str(broken), *told(url), "--report", str(report))
    assert (0, "Paris\n") == (done.code, done.out)
    facts = json.loads(report.read_text())
    assert (url, 2, "stop") == (facts["fallback"], facts["generated_tokens"], facts["reason"])
    assert facts["memory"]["anonymous"] > 0


@pytest.mark.parametrize(
    "flags",
    [("-j", "{}"), ("--grammar", 'root ::= "yes"'), ("--session", "talk.session")],
    ids=lambda flags: flags[0],
)
def test_what_the_other_server_cannot_do_is_refused(
    chat: Program, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with other(delta("Paris"), "data: [DONE]\n\n") as url:
        done = chat(FRANCE, "-m", str(broken), *told(url), *flags)
    assert (2, "") == (done.code, done.out)
    assert "the fallback cannot answer instead" in done.err
    assert "is cut short" in done.err or "broken.gguf" in done.err
    assert flags[0] in done.err
    assert "FALLBACK" not in done.err
    assert not (tmp_path / "talk.session").exists()


def test_a_key_is_asked_for_when_it_is_needed(chat: Program, broken: Path) -> None:
    flags = (*told("http://127.0.0.1:9/v1"), "--fallback-api-key-env", "NO_SUCH_KEY")
    assert "The capital of France is Paris." == chat.ask(FRANCE, *flags)

    missing = chat(FRANCE, "-m", str(broken), *flags)
    assert (2, "") == (missing.code, missing.out)
    assert "NO_SUCH_KEY, which is not set" in missing.err
    assert "broken.gguf" in missing.err


def test_ctrl_c_is_heard_while_the_other_server_is_silent(chat: Program, broken: Path) -> None:
    wait = threading.Event()
    with other(delta("Well"), wait) as url:
        terminal = Terminal(chat.path, "-m", str(broken), *told(url))
        terminal.shows("FALLBACK")
        terminal.shows("\n>")  # what is typed before would be lost
        terminal.type("hello")
        terminal.shows("Well")
        terminal.child.sendintr()
        terminal.shows("stopped")  # the other server says no more
        terminal.child.sendeof()
        terminal.child.close(force=True)


def test_the_other_server_is_told_what_is_baked_in(chat: Program, broken: Path) -> None:
    """By the server as by the terminal: system prompt and sampling, where a request has none."""
    asked: list[dict[str, Any]] = []
    flags = ("--system", "Be brief.", "--temp", "0.3", "--seed", "7", "-n", "20")
    own = {"messages": [{"role": "user", "content": FRANCE}]}
    with other(delta("Paris"), "data: [DONE]\n\n", asked=asked) as url:
        chat(FRANCE, "-m", str(broken), *told(url), *flags)
        with serve(chat, "-m", str(broken), *told(url), *flags) as server:
            server.post("/v1/chat/completions", own)
            system = {"role": "system", "content": "Be long."}
            more = {"temperature": 1.5, "max_completion_tokens": 5}
            server.post("/v1/chat/completions", {"messages": [system, *own["messages"]], **more})
            server.post("/v1/embeddings", {"input": "x"})

    terminal, plain, given, embedding = asked
    terminal.pop("stream")
    assert terminal == plain
    assert [{"role": "system", "content": "Be brief."}, *own["messages"]] == plain["messages"]
    assert (0.3, 7, 20) == (plain["temperature"], plain["seed"], plain["max_tokens"])
    assert [system, *own["messages"]] == given["messages"]
    assert (1.5, 7, 5) == (given["temperature"], given["seed"], given["max_completion_tokens"])
    assert "max_tokens" not in given
    assert {"input": "x", "model": "spare"} == embedding


KEY_NAME, KEY = "OTHER_KEY", "sk-the-owners-key"
LIBRARY_HEADERS = {
    "host", "accept", "accept-encoding", "connection", "user-agent", "content-length",
    "content-type",
}  # fmt: skip
"""What the HTTP library says of itself."""


def test_nothing_but_the_request_leaves_the_machine(chat: Program, tmp_path: Path) -> None:
    """Each whole request, as the other server gets it: from the terminal, and from clients."""
    folder = tmp_path / "somebodys-private-folder"
    folder.mkdir()
    broken = folder / "secret-model.gguf"
    broken.write_bytes(DEMO.read_bytes()[:100_000])
    program = Program(chat.path, environment={KEY_NAME: KEY, "MODELEMBED_API_KEY": "clients-key"})
    sent: list[Sent] = []
    first, second = {"role": "user", "content": FRANCE}, {"role": "user", "content": "And Italy?"}
    system, answer = ({"role": "system", "content": "Be brief."},
                      {"role": "assistant", "content": "Paris"})  # fmt: skip
    baked = {"temperature": 0.3, "top_p": 0.8, "max_tokens": 20, "seed": 7, "stop": ["END"],
             "model": "spare"}  # fmt: skip
    clients = {
        "Authorization": "Bearer clients-key",
        "Cookie": "session=private",
        "X_Request_Id": "private",
        "User_Agent": "private",
        "Referer": "http://private",
    }
    asking: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("chat/completions", {"messages": [first]}, {"messages": [system, first], **baked}),
        ("chat/completions", {"messages": [first], "stream": True},
         {"messages": [system, first], "stream": True, **baked}),
        ("chat/completions", {"model": "any", "messages": [first, answer, second], "n": 2,
                              "temperature": 1, "max_tokens": None, "tools": []},
         {"messages": [system, first, answer, second], "n": 2, "tools": [],
          **baked, "temperature": 1}),
        ("completions", {"prompt": ["Hi", "Ho"], "n": 2, "stream": True, "top_p": 1, "seed": 0},
         {"prompt": ["Hi", "Ho"], "n": 2, "stream": True, **baked, "top_p": 1, "seed": 0}),
        ("embeddings", {"input": ["Hi", "Ho"]}, {"input": ["Hi", "Ho"], "model": "spare"}),
    ]  # fmt: skip
    with other(delta("Paris"), "data: [DONE]\n\n", sent=sent) as url:
        flags = ("-m", str(broken), *told(url), "--fallback-api-key-env", KEY_NAME,
                 "--system", "Be brief.", "--temp", "0.3", "--top-p", "0.8", "--seed", "7",
                 "-n", "20", "-r", "END")  # fmt: skip
        assert "Paris\n" == program(FRANCE, *flags).out
        assert 2 == program("-i", *flags, stdin=f"{FRANCE}\nAnd Italy?\n").out.count("Paris")
        with serve(program, *flags) as server:
            for path, body, _ in asking:
                assert 200 == call(server, "POST", f"/v1/{path}", body, **clients)[0]

    streamed = {"stream": True, **baked}
    terminal = [
        {"messages": [system, first], **streamed},
        {"messages": [system, first], **streamed},
        {"messages": [system, first, answer, second], **streamed},
    ]
    assert [*terminal, *(body for _, _, body in asking)] == [json.loads(one.body) for one in sent]
    paths = [*["chat/completions"] * len(terminal), *(path for path, _, _ in asking)]
    assert [f"/v1/{path}" for path in paths] == [one.path for one in sent]
    for one in sent:
        assert f"Bearer {KEY}" == one.headers.pop("authorization")
        assert set(one.headers) <= LIBRARY_HEADERS
        whole = json.dumps(one.headers) + one.body.decode()
        for private in ("private", "secret-model", "clients-key", KEY, KEY_NAME, str(chat.path)):
            assert private not in whole


def test_every_worker_says_that_it_falls_back(chat: Program, broken: Path) -> None:
    with other(delta("Paris")) as url:
        flags = (*told(url), "--workers", "2")
        with serve(chat, "-m", str(broken), *flags) as server:
            said = "".join(server.said)

    assert 2 == said.count("FALLBACK: answers come from")
    assert 1 == said.count("note: worker 2: ")


ORDINARY = {
    "provider": "llama_cpp",
    "n_gpu_layers": -1,
    "fallback_on_error": True,
    "supports_images": False,
    "parameters": {"temperature": 0},
}
"""What such apps carry."""


def test_a_fallback_that_names_no_server_is_told_while_bundling(
    modelembed: Program, tmp_path: Path
) -> None:
    config, target = tmp_path / "config.json", tmp_path / "chat"
    config.write_text(json.dumps(ORDINARY))
    done = modelembed("bundle", str(DEMO), "-o", str(target), "--config", str(config))
    assert (0, 1) == (done.code, done.err.count("fallback_on_error")), done.err
    assert "warning: fallback_on_error is set, but no server is named" in done.err
    assert "provider" not in done.err

    program = Program(target)
    assert "The capital of France is Paris." == program.ask(FRANCE)
    assert "fallback_on_error" not in json.loads(program("info", "--json").out)["defaults"]
    refused = program("edit", "--set", "fallback_on_error=true")
    assert 2 == refused.code
    assert "fallback_on_error is set, but not fallback_base_url and fallback_model" in refused.err
    explicit = program(FRANCE, "--fallback-on-error")
    assert 2 == explicit.code
    assert "but not fallback_base_url and fallback_model" in explicit.err


@pytest.mark.parametrize(
    ("problem", "server"),
    [
        ("set, but not fallback_model", {"base_url": "https://example.org/v1"}),
        ("set, but not fallback_base_url", {"model": "m"}),
        ("expected http:// or https://", {"base_url": "example.org/v1", "model": "m"}),
    ],
    ids=["no model", "no URL", "no scheme"],
)
def test_half_a_fallback_is_refused_while_bundling(
    modelembed: Program, tmp_path: Path, problem: str, server: dict[str, str]
) -> None:
    config, target = tmp_path / "config.json", tmp_path / "chat"
    config.write_text(json.dumps({"fallback_on_error": True, "fallback": server}))
    done = modelembed("bundle", str(DEMO), "-o", str(target), "--config", str(config))
    assert 2 == done.code
    assert problem in done.err
    assert not target.exists()


def test_an_edit_that_breaks_the_fallback_is_refused(
    forms: dict[str, Path], tmp_path: Path
) -> None:
    """Or the program would do without it from then on."""
    target = tmp_path / "chat"
    done = Program(forms["stored"])("edit", *server("https://example.org/v1"), "-o", str(target))
    assert 0 == done.code
    before = target.read_bytes()
    for problem, words in (
        ("but not fallback_model", ("--unset", "fallback_model")),
        ("expected http:// or https://", ("--set", "fallback_base_url=example.org")),
    ):
        refused = Program(target)("edit", *words)
        assert 2 == refused.code
        assert problem in refused.err
    assert before == target.read_bytes()
    assert 0 == Program(target)("edit", "--unset", "fallback_on_error").code


INCOMPLETE = [
    ({}, "but not fallback_base_url and fallback_model"),
    ({"fallback_base_url": "https://example.org/v1"}, "but not fallback_model"),
    ({"fallback_base_url": "example.org", "fallback_model": "m"}, "expected http:// or https://"),
]
"""What older releases baked in beside fallback_on_error, and what is wrong with it."""


@pytest.mark.parametrize(("baked", "problem"), INCOMPLETE)
def test_a_baked_in_fallback_without_a_server_is_off(
    capsys: pytest.CaptureFixture[str], baked: dict[str, Any], problem: str
) -> None:
    """As older releases baked it in; with a server on the command line it is on."""
    manifest = Manifest(defaults={"fallback_on_error": True, **baked})
    bundle = Bundle(-1, "chat", Footer(0, 0, 0, 0, 0, 0, bytes(32)), manifest)
    for given in ({}, {"fallback_api_key_env": "KEY"}):
        assert not merged_options(bundle, given, None).fallback_on_error
        (note,) = capsys.readouterr().err.splitlines()
        assert "the baked-in fallback is off: " in note
        assert problem in note

    server = {"fallback_base_url": "https://example.org/v1", "fallback_model": "m"}
    assert merged_options(bundle, server, None).fallback_on_error
    # Whoever asks for it is told what lacks.
    assert merged_options(bundle, {"fallback_on_error": True}, None).fallback_on_error
    assert "" == capsys.readouterr().err


def server(url: str) -> list[str]:
    """Return the words that bake in a whole fallback."""
    pairs = ("fallback_on_error=true", f"fallback_base_url={url}", "fallback_model=m")
    return [word for pair in pairs for word in ("--set", pair)]


def with_defaults(path: Path, source: Path, defaults: dict[str, Any]) -> Path:
    """Write the bundle `source` with `defaults` that no command bakes in any more."""
    bundle = bundle_file.load(source)
    with publish(path, force=False) as out:
        sections = [section_io.copied(bundle, part) for part in bundle.manifest.sections]
        manifest = replace(bundle.manifest, defaults=defaults, sections=())
        write_bundle(out, Stub.of(bundle), sections, lambda: manifest)
    return path


def test_a_program_of_an_older_release_answers(forms: dict[str, Path], tmp_path: Path) -> None:
    for number, (baked, problem) in enumerate(INCOMPLETE):
        defaults = {"temp": 0.0, "fallback_on_error": True, **baked}
        older = Program(with_defaults(tmp_path / str(number), forms["stored"], defaults))
        done = older(FRANCE)
        assert (0, "The capital of France is Paris.\n") == (done.code, done.out)
        assert 1 == done.err.count("note: the baked-in fallback is off: ")
        assert problem in done.err


def test_the_self_check_runs_with_what_is_baked_in(forms: dict[str, Path], tmp_path: Path) -> None:
    """A program that refuses every question does not pass, and no server is asked for it."""
    report = self_check.prove(forms["stored"], DEMO.stat().st_size)
    assert report.cost["generated_tokens"] > 0

    asked: list[dict[str, Any]] = []
    with other(delta("Paris"), "data: [DONE]\n\n", asked=asked) as url:
        baked = tmp_path / "baked"
        assert Program(forms["stored"])("edit", *server(url), "-o", str(baked)).code == 0
        assert self_check.prove(baked, DEMO.stat().st_size).cost["generated_tokens"] > 0

        damaged = tmp_path / "damaged"  # its model cannot be loaded, and it would ask elsewhere
        data = bytearray(baked.read_bytes())
        model = bundle_file.load(baked).section("model")
        data[model.offset : model.offset + 4] = b"GONE"
        damaged.write_bytes(data)
        damaged.chmod(0o755)
        with pytest.raises(AppError, match="failed to answer a question"):
            self_check.prove(damaged, DEMO.stat().st_size)
    assert [] == asked

    nonsense = {"chat_template": "chatlm"}
    refusing = with_defaults(tmp_path / "refusing", forms["stored"], nonsense)
    with pytest.raises(AppError, match=r"failed to answer a question .*chatlm"):
        self_check.prove(refusing, DEMO.stat().st_size)


def test_the_self_check_leaves_the_users_cache_alone(
    forms: dict[str, Path], tmp_path: Path, clean_home: Path
) -> None:
    baked = with_defaults(tmp_path / "caching", forms["zstd"], {"cache": True})
    before = sorted(clean_home.rglob("*"))  # the program that was edited is kept unpacked
    assert self_check.prove(baked, DEMO.stat().st_size).cost["generated_tokens"] > 0
    assert before == sorted(clean_home.rglob("*"))


def conversation(url: str) -> Conversation:
    return Conversation(RemoteAnswerer(RemoteServer(url, "spare")), Options())


def test_an_answer_that_is_cancelled_before_it_begins() -> None:
    with other(threading.Event()) as url:
        talk = conversation(url)
        threading.Timer(0.3, talk.cancel).start()
        begin = time.monotonic()
        assert [] == list(talk.ask("hello"))
        assert time.monotonic() - begin < 30  # the other server is silent for a minute
        assert "cancelled" == talk.stats.reason


@pytest.mark.parametrize("content", [[{"type": "text", "text": "Paris"}], 7, {"a": 1}])
def test_an_answer_that_is_no_text_is_refused(content: object) -> None:
    with other(delta("Well, "), delta(content)) as url:
        talk = conversation(url)
        with pytest.raises(ModelError, match="no text"):
            list(talk.ask("hello"))
        assert [] == talk.turns


def test_documents_stay_on_the_machine(chat: Program, broken: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "secret.txt").write_text("The capital of France is a secret to all.\n")
    flags = ("-m", str(broken), "--docs", str(tmp_path / "mine"))
    asked: list[dict[str, Any]] = []
    with other(delta("Paris [9]."), "data: [DONE]\n\n", asked=asked) as url:
        done = chat(*flags, *told(url), "-p", FRANCE)
        assert (0, "Paris [9].\n") == (done.code, done.out)
        assert f"the documents stay here: {url} answers without them" in done.err

        with serve(chat, *flags, *told(url)) as running:
            body = {"messages": [{"role": "user", "content": FRANCE}]}
            path = "/v1/chat/completions"
            assert 200 == call(running, "POST", path, {**body, "documents": False})[0]
            status, _, error = call(running, "POST", path, {**body, "documents": True})
            assert (501, "documents") == (status, error["error"]["param"])
            assert 501 == call(running, "POST", "/v1/search", {"query": "France"})[0]
            assert 501 == call(running, "GET", "/v1/documents/0")[0]

    assert [FRANCE] * 2 == [one["messages"][-1]["content"] for one in asked]
    assert not any("documents" in one for one in asked)
    assert "secret" not in json.dumps(asked)
