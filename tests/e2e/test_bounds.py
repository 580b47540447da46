"""To every bound of docs/bounds.md, and beyond: what the produced executable answers.

A row of the tables without a case here, or a test elsewhere, is a failure.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bundles
import pytest
from bound_rows import Row, rows
from mcp_agent import agent_of
from paths import DEMO, ROOT
from program import Done, Program
from server_client import FRANCE
from servers import Served, serve

from runtime import bounds
from runtime.container.layout import FOOTER_SIZE

ELSEWHERE = {
    "PROJECTOR_PATCHES": "tests/gguf/test_projector.py::test_too_many_patches_are_refused",
    "ANALYSIS_SECONDS": "tests/model/test_libchat.py::test_a_hostile_template_is_stopped",
    "LIBRARY_STACK": "tests/model/test_libchat.py::test_a_hostile_template_is_stopped",
    "STEP_SECONDS":
        "tests/e2e/test_hostile_texts.py::test_a_grammar_that_becomes_slow_ends_its_answer_alone",
    "ANSWER_SECONDS":
        "tests/e2e/test_hostile_texts.py::test_a_grammar_that_becomes_slow_ends_its_answer_alone",
    "STORED_BYTES":
        "tests/server/test_response_store.py::test_there_is_room_for_so_many_bytes",
    "TOOLS_SECONDS":
        "tests/server/test_template_inputs.py::test_tools_that_take_too_long_are_refused",
    "SCHEMA_SECONDS":
        "tests/json_schema/test_schemas.py::test_a_schema_that_takes_too_long_to_check_is_refused",
    "CHUNKS": "tests/weights/test_chunk_table.py::test_no_more_rows_are_written_than_are_read",
    "FRAMES": "tests/weights/test_zstd_seekable.py::test_tail_that_is_none_is_refused",
    "DECODED": "tests/weights/test_stdio_file.py::test_large_chunks_are_decoded_by_fewer_threads",
    "EMBEDDER_PREFIX":
        "tests/retrieval/test_embedding.py::test_a_prefix_beyond_the_bound_is_refused",
    "INDEX_HEAD": "tests/search/test_hostile_index.py::test_a_head_of_more_than_the_bound_is_none",
    "INDEX_LABEL": "tests/search/test_hostile_index.py::test_a_label_beyond_the_bound_is_refused",
    "INDEX_TEXT": "tests/search/test_hostile_index.py::test_a_text_beyond_the_bound_is_refused",
    "VECTOR_DIMENSIONS":
        "tests/search/test_hostile_index.py::test_more_dimensions_than_the_bound_are_refused",
    "QUESTION": "tests/search/test_index.py::test_of_a_long_question_the_beginning_is_searched_for",
    "QUESTION_TERMS": "tests/search/test_index.py::test_of_many_words_the_rarest_are_searched_for",
    "FOUND": "tests/server/test_documents_api.py::test_no_more_passages_are_given_than_the_bound",
    "DOCUMENT_PART": "tests/server/test_documents_api.py::test_a_long_document_is_read_in_parts",
    "QUESTION_FILTERS": "tests/search/test_filters.py::test_too_many_filters_are_refused",
    "PROBE_SECONDS": "tests/e2e/test_bundle_trouble.py::test_who_ended_a_probe_is_understood",
    "PROBE_BYTES": "tests/e2e/test_bundle_trouble.py::test_who_ended_a_probe_is_understood",
    "COMMENT": "tests/container/test_minisign.py::test_comment_must_fit",
    "KEY_OPERATIONS":
        "tests/container/test_minisign.py::test_greedy_key_is_refused_before_the_password",
    "KEY_MEMORY":
        "tests/container/test_minisign.py::test_greedy_key_is_refused_before_the_password",
    "PICTURE": "tests/media/test_pictures.py::test_a_file_that_is_too_large_is_refused",
    "PICTURE_SIDE": "tests/media/test_pictures.py::test_a_side_that_is_too_long_is_refused",
    "PICTURE_PIXELS": "tests/media/test_pictures.py::test_too_many_pixels_are_refused",
    "PICTURE_UNPACKED":
        "tests/media/test_pictures.py::test_a_png_of_many_bits_for_each_pixel_is_refused",
    "PICTURE_PASSES":
        "tests/media/test_pictures.py::test_too_many_passes_over_a_picture_are_refused",
    "PICTURE_PARTS": "tests/media/test_pictures.py::test_too_many_parts_of_a_picture_are_refused",
    "PICTURES_PIXELS":
        "tests/media/test_pictures.py::test_pictures_that_are_too_large_together_are_refused",
    "MEDIA_SECONDS": "tests/media/test_pictures.py::test_what_takes_too_long_is_not_decoded",
    "MEDIA": "tests/media/test_pictures.py::test_too_many_pictures_are_refused",
    "FORM_FIELDS": "tests/server/test_form_data.py::test_a_form_of_too_many_fields_is_refused",
    "FETCH_URL": "tests/media/test_fetch.py::test_a_long_address_is_refused",
    "FETCH_SECONDS": "tests/media/test_fetch.py::test_a_server_that_trickles_is_left",
    "FETCH_REDIRECTS": "tests/media/test_fetch.py::test_redirections_end",
    "SOUND": "tests/media/test_sounds.py::test_a_sound_that_is_too_large_is_refused",
    "SOUND_SAMPLES": "tests/media/test_sounds.py::test_a_flac_of_too_many_samples_is_refused",
    "SOUND_SECONDS": "tests/media/test_sounds.py::test_a_sound_that_is_too_long_is_refused",
    "DOCUMENTS":
        "tests/documents/test_document_bounds.py::test_a_folder_of_too_many_files_is_refused",
    "DOCUMENT":
        "tests/documents/test_document_bounds.py::test_a_file_that_is_too_large_is_not_read",
    "DOCUMENT_TEXT":
        "tests/documents/test_document_bounds.py::test_a_text_that_is_too_long_is_refused",
    "DOCUMENT_BLOCKS":
        "tests/documents/test_document_bounds.py::test_too_many_paragraphs_are_refused",
    "DOCUMENT_SECONDS":
        "tests/documents/test_document_bounds.py::test_reading_that_takes_too_long_is_ended",
    "TABLE_NESTING": "tests/documents/test_document_bounds.py::"
        "test_tables_in_tables_are_taken_for_what_they_contain",
    "PDF_BYTES": "tests/bundler/documents/test_pdf.py::test_a_pdf_gets_no_more_memory_or_time",
    "UNPACKED": "tests/documents/test_archive.py::test_bombs_are_not_unpacked",
    "ARCHIVE_FILES":
        "tests/documents/test_archive.py::test_an_archive_of_too_many_files_is_not_opened",
}  # fmt: skip
"""What no program can be led to in seconds, or needs a secret key: the tests of the modules."""

LOOPS = (
    "{% if add_generation_prompt %}{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}{% endif %}"
)
DOUBLED = (
    "{% if add_generation_prompt %}{% set n = namespace(t='a') %}{% for i in range(64) %}"
    "{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}{% endif %}"
)
HELLO = {"role": "user", "content": "Hello"}

Outcome = tuple[str, str]
"""As the third column has it, and what the answer says."""


@dataclass(frozen=True)
class Lab:
    """What a case has at hand."""

    chat: Program
    modelembed: Program
    server: Served
    folder: Path

    def post(self, path: str, **body: Any) -> Outcome:
        """Ask the server; a schema that was relaxed is an outcome of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        try:
            connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if relaxed := response.headers.get("X-Modelembed-Schema"):
            return "relaxed", relaxed
        message = json.loads(text)["error"]["message"] if response.status != 200 else text
        return str(response.status), message

    def chatted(self, **fields: Any) -> Outcome:
        """Ask for a conversation as the template writes it."""
        return self.post("/apply-template", **{"messages": [HELLO], **fields})

    def completed(self, **fields: Any) -> Outcome:
        """Ask for a completion of one token."""
        return self.post("/v1/completions", **{"prompt": "Hi", "max_tokens": 1, **fields})

    def held(self, **schema: Any) -> Outcome:
        """Ask for an answer that follows a schema."""
        return self.completed(json_schema=schema)

    def opened(self, path: Path) -> Outcome:
        """Ask a file as if it were a model."""
        return outcome(self.chat("-m", str(path), "-p", "Hi", "-n", "1"))


def outcome(done: Done) -> Outcome:
    said = done.err
    return ("note" if done.code == 0 and "note: " in said else f"exit {done.code}"), said


@contextmanager
def connected(server: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), 60) as raw:
        yield raw


def received(raw: socket.socket) -> Outcome:
    """Return the response, or `closed` where there is none."""
    data = b""
    with suppress(ConnectionError):
        while part := raw.recv(1 << 16):
            data += part
    head, _, body = data.decode().partition("\r\n\r\n")
    return (head.split(" ")[1] if head else "closed"), body


def requested(lab: Lab, headers: list[str]) -> Outcome:
    with connected(lab.server) as raw:
        lines = ["GET /health HTTP/1.1", *headers, "", ""]
        raw.sendall("\r\n".join(lines).encode())
        return received(raw)


# Connections


def body(lab: Lab, count: int) -> Outcome:
    text = b'{"prompt": "Hi", "max_tokens": 1}'.ljust(count)
    with connected(lab.server) as raw:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {count}\r\n"
        with suppress(ConnectionError):  # it was refused before all was sent
            raw.sendall(f"{head}Connection: close\r\n\r\n".encode() + text)
        return received(raw)


def send_seconds(lab: Lab, count: float) -> Outcome:
    """The default by the help; that it is held to, where it is a second."""
    shown = " ".join(lab.chat("serve", "--help").out.split())
    assert f"each part of an answer (default: {bounds.SEND_SECONDS})" in shown
    with serve(lab.chat, "-t", "1", "--timeout", "1") as server, connected(server) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
        if count <= bounds.SEND_SECONDS:
            raw.sendall(b"\r\n")
        return received(raw)


def connections(lab: Lab, count: int) -> Outcome:
    with many_files(), serve(lab.chat, "-t", "1") as server, ExitStack() as stack:
        opened = [stack.enter_context(connected(server)) for _ in range(count)]
        opened[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return received(opened[-1])


def backlog(lab: Lab, count: int) -> Outcome:
    """While it stands still: the system takes one more than it is asked to."""
    with many_files(), serve(lab.chat, "-t", "1") as server, ExitStack() as stack:
        os.killpg(server.process.pid, signal.SIGSTOP)
        stack.callback(os.killpg, server.process.pid, signal.SIGCONT)
        for _ in range(count + (count > bounds.BACKLOG)):
            raw = stack.enter_context(socket.socket())
            raw.settimeout(2)
            try:
                raw.connect(("127.0.0.1", server.port))
            except TimeoutError:
                return "waits", ""
        return "connected", ""


@contextmanager
def many_files() -> Iterator[None]:
    """Let this process have more files open than is usual, and the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def queue(lab: Lab, count: int) -> Outcome:
    return lab.completed(n=count + 4)


def headers(lab: Lab, count: int) -> Outcome:
    more = [f"X-{number}: x" for number in range(count - 2)]
    return requested(lab, ["Host: localhost", "Connection: close", *more])


def header_bytes(lab: Lab, count: int) -> Outcome:
    lines = ["Host: localhost", "Connection: close", "X: "]
    taken = len("/health") + sum(len(line) - len(": ") for line in lines)
    return requested(lab, [*lines[:-1], lines[-1] + "x" * (count - taken)])


# Fields of a request


def calls(lab: Lab, count: int) -> Outcome:
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    assistant = {"role": "assistant", "tool_calls": [call] * count}
    return lab.chatted(messages=[HELLO, assistant, HELLO])


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def tools(lab: Lab, count: int) -> Outcome:
    return lab.chatted(tools=[tool(f"f{n}") for n in range(count)], tool_choice="none")


def stored_responses(lab: Lab, count: int) -> Outcome:
    """As many as fit, then one that goes on from the first."""
    ids = []
    for _ in range(count):
        _, text = lab.post("/v1/responses", input="Hi", max_output_tokens=1)
        ids.append(json.loads(text)["id"])
    return lab.post("/v1/responses", input="Hi", previous_response_id=ids[0], max_output_tokens=1)


def tool_message(lab: Lab, count: int) -> Outcome:
    with agent_of(lab.chat, "-t", "1") as (agent, _):
        agent.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'.ljust(count - 1))
        found = agent.read().get("error", {})
    return str(found.get("code", 200)), found.get("message", "")


def many(item: object, count: int, most: int, lab: Lab) -> Outcome:
    """A body of so many items; up to the bound there is room for what else is in it."""
    return lab.completed(prompt=[item] * (count if count > most else count - 100))


def prompts(lab: Lab, count: int) -> Outcome:
    """Texts to be embedded: of those to be answered fewer fit into the queue."""
    with serve(lab.chat, "-t", "1", "--pooling", "mean") as server:
        return replace(lab, server=server).post("/v1/embeddings", input=["a"] * count)


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


# Schemas


def schema_levels(lab: Lab, count: int) -> Outcome:
    schema: dict[str, Any] = {"type": "array"}
    for _ in range(count - 1):
        schema = {"type": "array", "items": schema}
    return lab.held(**schema)


def schema_parts(lab: Lab, count: int) -> Outcome:
    """A hundred alternatives, and again a hundred."""
    groups = 55 if count > bounds.SCHEMA_PARTS else 45  # in a choice, each counts twice
    one = {"anyOf": [{"const": number} for number in range(100)]}
    return lab.held(type="array", prefixItems=[one] * groups)


def schema_grammar(lab: Lab, count: int) -> Outcome:
    """Names of rules have the whole path in them: the grammar is much longer than the schema."""
    long = count > bounds.SCHEMA_GRAMMAR
    schema: dict[str, Any] = {"type": "integer"}
    for number in range(60 if long else 2):
        name = f"p{number}".ljust(900, "x")
        schema = {"type": "object", "properties": {name: schema}, "required": [name]}
    return lab.held(**schema)


def pattern_nesting(lab: Lab, count: int) -> Outcome:
    return lab.held(type="string", pattern="^" + "(" * count + "a" + ")" * count + "$")


# Templates


def templated(hostile: str, lab: Lab, beyond: bool) -> Outcome:
    """Ask a server that has the template, if it is to be gone beyond, else the usual one."""
    if not beyond:
        return lab.chatted()
    with serve(lab.chat, "-t", "1", "--chat-template", hostile) as server:
        return Lab(lab.chat, lab.modelembed, server, lab.folder).chatted()


def compile_seconds(lab: Lab, count: float) -> Outcome:
    depth = 30 if count > bounds.COMPILE_SECONDS else 3
    rules = [f'a{i} ::= a{i + 1} a{i + 1} | a{i + 1} | ""' for i in range(depth)]
    return lab.completed(grammar="\n".join(["root ::= a0", *rules, f'a{depth} ::= "x" | ""']))


# Texts and files of the user's


def piped(lab: Lab, count: int) -> Outcome:
    """What is short enough is no text, so that it need not be read by the model as well."""
    return outcome(lab.chat(FRANCE, stdin="\0".ljust(count, "a")))


def api_prefix(lab: Lab, count: int) -> Outcome:
    """A server that would start is refused for another reason."""
    prefix = "/".ljust(count, "x")
    return outcome(lab.chat("serve", "--api-prefix", prefix, "--sleep-idle-seconds", "0"))


def text_file(lab: Lab, count: int) -> Outcome:
    path = lab.folder / "text"
    with open(path, "wb") as file:
        file.truncate(count)
        if count <= bounds.TEXT_FILE:  # what is short enough is no text, as above
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")
    return outcome(lab.chat(FRANCE, "--system", f"@{path}"))


def report(lab: Lab, count: int) -> Outcome:
    path = lab.folder / "report.json"
    path.write_text('{"kind": "modelembed report"}'.ljust(count))
    return outcome(lab.chat(FRANCE, "-n", "1", "--report", str(path)))


def session_text(lab: Lab, count: int) -> Outcome:
    path = lab.folder / "talk.session"
    line = '{"kind": "modelembed conversation", "more": "'.ljust(count - 2, "x")
    path.write_text(line + '"}\n')
    return outcome(lab.chat(FRANCE, "--session", str(path)))


def remote_line(lab: Lab, count: int) -> Outcome:
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"data: ".ljust(count, b"x"))
            if count <= bounds.REMOTE_LINE:
                self.wfile.write(b"\n")
            else:
                done.wait()

        def log_message(self, format: str, *_: Any) -> None:
            pass

    broken = lab.folder / "broken.gguf"
    broken.write_bytes(DEMO.read_bytes()[:100_000])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        flags = ("--fallback-on-error", "--fallback-base-url", url, "--fallback-model", "spare")
        try:
            return outcome(lab.chat(FRANCE, "-m", str(broken), *flags))
        finally:
            done.set()
            server.shutdown()


# Executables


def claimed(field: str, lab: Lab, count: int) -> Outcome:
    return lab.opened(bundles.write(lab.folder / "chat", footer={field: count}))


def sections(lab: Lab, count: int) -> Outcome:
    digest = hashlib.sha256().hexdigest()
    entry = {"kind": "adapter", "offset": 2 << 20, "length": 0, "size": 0, "codec": "stored"}
    entries = [{**entry, "name": f"s{number}", "sha256": digest} for number in range(count)]
    part = bundles.stored(b"x")
    path = bundles.write(lab.folder / "chat", [part], manifest={"sections": entries})
    return lab.opened(path)


def section_table(lab: Lab, count: int) -> Outcome:
    path = bundles.write(lab.folder / "chat", behind=b"x" * (count - FOOTER_SIZE))
    return outcome(lab.modelembed("inspect", str(path)))


def state_head(lab: Lab, count: int) -> Outcome:
    line = json.dumps({"key": {}, "tokens": []}).ljust(count).encode() + b"\n"
    state = bundles.planes(bundles.chunk(line), name="beginning", kind="state")
    path = bundles.write(lab.folder / "chat", [state])
    out = lab.folder / "edited"
    out.unlink(missing_ok=True)
    return outcome(lab.modelembed("edit", str(path), "--name", "Other", "-o", str(out)))


def chunk(lab: Lab, count: int) -> Outcome:
    part = bundles.planes(bundles.chunk(b"x", size=count), size=count)
    return lab.opened(bundles.write(lab.folder / "chat", [part]))


def chunk_streams(lab: Lab, count: int) -> Outcome:
    part = bundles.planes(bundles.chunk(b"x", streams=[(0, b"")] * count))
    return lab.opened(bundles.write(lab.folder / "chat", [part]))


def frame(lab: Lab, count: int) -> Outcome:
    part = bundles.coded_as(b"12345" + bundles.seek_table([(5, count)]), b"", size=count)
    return lab.opened(bundles.write(lab.folder / "chat", [part]))


def key(lab: Lab, count: int) -> Outcome:
    """The key for a signature, which need not be right: the file is read first."""
    manifest = bundles.document()
    signature = (ROOT / "tests" / "golden" / "minisign" / "prehashed.minisig").read_bytes()
    footer = {
        "manifest_length": len(manifest),
        "manifest_sha256": hashlib.sha256(manifest).digest(),
        "signature_length": len(signature),
    }
    signed = bundles.write(lab.folder / "chat", manifest=manifest + signature, footer=footer)
    path = lab.folder / "key.pub"
    path.write_bytes(b"x" * count)
    return outcome(lab.modelembed("verify", str(signed), "--key", str(path)))


# Models


def made_gguf(lab: Lab, data: bytes, *, tensors: int = 0, keys: int = 0, size: int = 0) -> Path:
    """Write a GGUF of these bytes behind its counts, and of zeros up to `size`."""
    path = lab.folder / "model.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, tensors, keys) + data)
    os.truncate(path, max(size, path.stat().st_size))
    return path


def gguf(lab: Lab, data: bytes, **counts: int) -> Outcome:
    return lab.opened(made_gguf(lab, data, **counts))


def gguf_text(lab: Lab, count: int) -> Outcome:
    return gguf(lab, struct.pack("<Q", count), keys=1, size=count + 100)


def gguf_list(lab: Lab, count: int) -> Outcome:
    data = struct.pack("<Q1sIIQ", 1, b"a", 9, 8, count)
    return gguf(lab, data, keys=1, size=8 * count + 100)


def gguf_header(lab: Lab, count: int) -> Outcome:
    """Before it is bundled: an engine takes ten seconds for as long a list as fits."""
    data = partial(struct.pack, "<Q1sIIQ", 1, b"a", 9, 0)
    begin = 24 + len(data(0))
    path = made_gguf(lab, data(count - begin), keys=1, size=count)
    return outcome(lab.modelembed("bundle", str(path), "-o", str(lab.folder / "made")))


def gguf_alignment(lab: Lab, count: int) -> Outcome:
    name = b"general.alignment"
    power = count if count <= bounds.GGUF_ALIGNMENT else 2 * bounds.GGUF_ALIGNMENT
    data = struct.pack(f"<Q{len(name)}sII", len(name), name, 4, power)
    return gguf(lab, data, keys=1)


def gguf_dimensions(lab: Lab, count: int) -> Outcome:
    return gguf(lab, struct.pack("<Q1sI", 1, b"a", count), tensors=1, size=200)


CASES: Mapping[str, Callable[[Lab, Any], Outcome]] = {
    "BODY": body,
    "SEND_SECONDS": send_seconds,
    "CONNECTIONS": connections,
    "BACKLOG": backlog,
    "QUEUE": queue,
    "HEADERS": headers,
    "HEADER_BYTES": header_bytes,
    "MESSAGES": lambda lab, count: lab.chatted(messages=[HELLO] * count),
    "PARTS": lambda lab, count: lab.chatted(
        messages=[{"role": "user", "content": [{"type": "text", "text": "a"}] * count}]
    ),
    "CALLS": calls,
    "TOOLS": tools,
    "TOOL_NAME": lambda lab, count: lab.chatted(tools=[tool("f" * count)], tool_choice="none"),
    "NAME": lambda lab, count: lab.chatted(messages=[{**HELLO, "name": "n" * count}]),
    "JSON_VALUES": lambda lab, count: many(1, count, bounds.JSON_VALUES, lab),
    "JSON_PARTS": lambda lab, count: many([], count, bounds.JSON_PARTS, lab),
    "PROMPTS": prompts,
    "STORED_RESPONSES": stored_responses,
    "TOOL_MESSAGE": tool_message,
    "CHOICES": lambda lab, count: lab.completed(n=count),
    "STOPS": lambda lab, count: lab.completed(stop=["x"] * count),
    "STOP_LENGTH": lambda lab, count: lab.completed(stop="x" * count),
    "LOGPROBS": lambda lab, count: lab.completed(logprobs=count),
    "BIASES": lambda lab, count: lab.completed(logit_bias=[[1, 0.5]] * count),
    "TOKEN_DIGITS": lambda lab, count: lab.completed(logit_bias={"1".rjust(count, "0"): 0.5}),
    "INTEGER": lambda lab, count: lab.chatted(thinking_budget_tokens=count),
    "JSON_DEPTH": lambda lab, count: lab.chatted(chat_template_kwargs={"x": nested(count - 1)}),
    "GRAMMAR": lambda lab, count: lab.completed(grammar='root ::= "a"\n#'.ljust(count, "x")),
    "GRAMMAR_NESTING": lambda lab, count: lab.completed(
        grammar="root ::= " + "(" * count + '"a"' + ")" * count
    ),
    "SCHEMA": lambda lab, count: lab.held(description="x" * (count - len('{"description":""}'))),
    "SCHEMA_LEVELS": schema_levels,
    "SCHEMA_PARTS": schema_parts,
    "SCHEMA_GRAMMAR": schema_grammar,
    "ALTERNATIVES": lambda lab, count: lab.held(
        anyOf=[{"type": "string", "const": f"{number}"} for number in range(count)]
    ),
    "OPTIONAL_PROPERTIES": lambda lab, count: lab.held(
        type="object", properties={f"p{number}": {"type": "null"} for number in range(count)}
    ),
    "PROPERTY_NAME": lambda lab, count: lab.held(
        type="object", properties={"p" * count: {"type": "null"}}
    ),
    "REPETITIONS": lambda lab, count: lab.held(
        type="array", items={"type": "null"}, maxItems=count
    ),
    "TUPLE": lambda lab, count: lab.held(type="array", prefixItems=[{"type": "null"}] * count),
    "MULTIPLES": lambda lab, count: lab.held(
        type="integer", minimum=2, maximum=2 * count, multipleOf=2
    ),
    "PATTERN_NESTING": pattern_nesting,
    "TEMPLATE_SECONDS": lambda lab, s: templated(LOOPS, lab, s > bounds.TEMPLATE_SECONDS),
    "COMPILE_SECONDS": compile_seconds,
    "LIBRARY_BYTES": lambda lab, count: templated(DOUBLED, lab, count > bounds.LIBRARY_BYTES),
    "PIPED": piped,
    "API_PREFIX": api_prefix,
    "TEXT_FILE": text_file,
    "REPORT": report,
    "SESSION_TEXT": session_text,
    "REMOTE_LINE": remote_line,
    "MANIFEST": partial(claimed, "manifest_length"),
    "LAUNCHER": partial(claimed, "prefix_length"),
    "ARCHIVE": partial(claimed, "pkg_length"),
    "SECTIONS": sections,
    "SECTION_TABLE": section_table,
    "STATE_HEAD": state_head,
    "CHUNK": chunk,
    "CHUNK_STREAMS": chunk_streams,
    "FRAME": frame,
    "SIGNATURE": key,
    "GGUF_HEADER": gguf_header,
    "GGUF_TEXT": gguf_text,
    "GGUF_LIST": gguf_list,
    "GGUF_KEYS": lambda lab, count: gguf(lab, b"", keys=count, size=12 * count + 100),
    "GGUF_TENSORS": lambda lab, count: gguf(lab, b"", tensors=count, size=24 * count + 100),
    "GGUF_DIMENSIONS": gguf_dimensions,
    "GGUF_ALIGNMENT": gguf_alignment,
}

ROWS = {row.name: row for row in rows()}


@pytest.fixture(scope="module")
def server(chat: Program) -> Iterator[Served]:
    with serve(chat, "-t", "1") as running:
        yield running


@pytest.fixture
def lab(chat: Program, modelembed: Program, server: Served, tmp_path: Path) -> Lab:
    return Lab(chat, modelembed, server, tmp_path)


def test_every_row_has_a_case_or_a_test_elsewhere() -> None:
    assert CASES.keys() | ELSEWHERE.keys() == ROWS.keys()
    assert not CASES.keys() & ELSEWHERE.keys()
    for name, place in ELSEWHERE.items():
        path, _, test = place.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", text, re.M), (name, place)


@pytest.mark.parametrize("row", [ROWS[name] for name in CASES], ids=lambda row: row.name)
def test_beyond_a_bound_is_what_the_table_says(lab: Lab, row: Row) -> None:
    found, said = CASES[row.name](lab, getattr(bounds, row.name) + 1)

    assert row.outcome == found, said
    assert row.says in said


@pytest.mark.parametrize("row", [ROWS[name] for name in CASES], ids=lambda row: row.name)
def test_up_to_a_bound_it_is_not(lab: Lab, row: Row) -> None:
    found, said = CASES[row.name](lab, getattr(bounds, row.name))

    assert (row.outcome, True) != (found, row.says in said), said


def test_a_model_that_memory_cannot_hold_is_refused_before_it_is_read(lab: Lab) -> None:
    path = bundles.write(lab.folder / "chat", [bundles.petabyte(DEMO.read_bytes())])
    found, said = lab.opened(path)

    assert "exit 1" == found
    assert re.search(r"the model needs 1342\.\d GB of memory", said)


def test_what_cannot_be_kept_or_extracted_is_refused_before_it_is_written(lab: Lab) -> None:
    path = bundles.write(lab.folder / "chat", [bundles.petabyte(DEMO.read_bytes())])
    done = lab.modelembed("extract", str(path), "-o", str(lab.folder / "model.gguf"))
    assert ("exit 1", True) == (outcome(done)[0], "would take 1342.2 GB" in done.err)

    cached = lab.chat("-m", str(path), "-p", "Hi", "--cache", "--no-fit", "--no-memfd")
    assert cached.code == 1
    assert "what is kept may take" in cached.err
    assert "has no room to restore the model" in cached.err
    assert [path.name] == os.listdir(lab.folder)
