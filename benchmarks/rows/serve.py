"""Serve: tokens/s of several clients, first tokens, overhead, memory, and lost answers."""

from __future__ import annotations

import http.client
import json
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import load, models
from benchmarks.lab import Lab
from benchmarks.measure import BenchmarkError, descendants, interleave
from benchmarks.protocols import CHAT, PROTOCOLS, Protocol
from benchmarks.report import Row
from benchmarks.servers import RUNNING, served

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "models" / "demo.gguf"
FACTS = ROOT / "models" / "demo.facts.json"
READING, WRITING = 64, 48
CLIENTS = (1, 4, 8)
OVERHEADS = 300
LOAD_CLIENTS, LOAD_SECONDS = 64, 120.0
KNOWN = 0.99
"""Share of its facts that the demo model gets right."""


@dataclass(frozen=True)
class Round:
    """What several clients at once got."""

    speed: float
    """Tokens/s of all together."""
    waits: tuple[float, ...]
    """Seconds that each waited for its first token."""


def measure(lab: Lab) -> list[Row]:
    """Compare with `llama-server` of the same commit, started in the same way."""
    return [*speed(lab), overhead(lab), *by_protocol(lab), memory(lab), lost(lab)]


def speed(lab: Lab) -> Iterator[Row]:
    """Compare what 1, 4 and 8 clients get, and how long 8 wait for their first token."""
    model = lab.model("1.1b-q4_k_m")
    for count in CLIENTS:
        room = count * (READING + WRITING + 64) + 256
        ours = [*serving(lab, lab.bundle(model, "--compress", "none")), "-np", count, "-c", room]
        peer = [*llama_server(lab, model), "-np", count, "-c", room]
        with served(ours) as own, served(peer) as other:
            # Both stay loaded; an idle one takes no time.
            rounds: dict[int, list[Round]] = {own: [], other: []}

            figures = interleave(
                lab.rounds(5), asking(own, count, rounds[own]), asking(other, count, rounds[other])
            )
        yield Row(f"{count} clients, 1.1B", "tokens/s", figures[0], figures[1], "llama-server",
                  1.0, at_least=True)  # fmt: skip
        if count == max(CLIENTS):
            for name, share in (("p50", 50), ("p95", 95)):
                # Of the waits of all rounds: those of one are too few for a twentieth of them.
                waits = [
                    percentile([wait for found in rounds[port][1:] for wait in found.waits], share)
                    for port in (own, other)
                ]
                what = f"wait for the first token, {count} clients, {name} of all rounds"
                yield Row(what, "s", (waits[0],), (waits[1],), "llama-server", 1.0)


def asking(port: int, count: int, rounds: list[Round]) -> Callable[[], float]:
    """Return a function that lets `count` clients ask, notes all and returns their tokens/s."""

    def ask() -> float:
        rounds.append(clients(port, count))
        return rounds[-1].speed

    return ask


def overhead(lab: Lab) -> Row:
    """Compare the time of a request whose answer is one token, on the demo model."""
    ours = [*serving(lab, lab.bundle(DEMO, "--compress", "none")), "-np", 1]
    with served(ours) as own, served([*llama_server(lab, DEMO), "-np", 1]) as other:
        figures = interleave(
            lab.rounds(5), lambda: requests(own, OVERHEADS), lambda: requests(other, OVERHEADS)
        )
    return Row("a request, demo model", "ms", figures[0], figures[1], "llama-server", 1.5)


def by_protocol(lab: Lab) -> Iterator[Row]:
    """Compare the time of such a request by each protocol with that of a chat completion."""
    with served([*serving(lab, lab.bundle(DEMO, "--compress", "none")), "-np", 1]) as port:
        sides = [partial(requests, port, OVERHEADS, one) for one in PROTOCOLS.values()]
        chat, *others = interleave(lab.rounds(5), *sides)
    for name, figures in zip([*PROTOCOLS][1:], others, strict=True):
        what = f"a request by {name}, demo model"
        yield Row(what, "ms", figures, chat, "our chat completions", 1.2)


def memory(lab: Lab) -> Row:
    """Compare the proportional memory of two workers with that of one."""
    model = lab.model("1.1b-q4_k_m")
    command = [*serving(lab, lab.bundle(model, "--compress", "none")), "-np", 4, "-c", 1024]
    figures = []
    for count in (1, 2):
        # The weights of one worker are not rearranged either: the same answers at the same speed.
        with served([*command, "--workers", count, "--no-repack"]) as port:
            for _ in range(4 * count):
                clients(port, 2)
            figures.append(proportional(RUNNING[port]) / 1e6)
    return Row("memory of 2 workers (PSS), 1.1B stored", "MB", (figures[1],), (figures[0],),
               "1 worker", 1.3)  # fmt: skip


def lost(lab: Lab) -> Row:
    """Count what 64 clients who come and go for two minutes get wrong or not at all."""
    facts = json.loads(FACTS.read_text())["questions"]
    command = [*serving(lab, lab.bundle(DEMO, "--compress", "none")), "-np", 8, "-c", 4096]
    seconds = 5.0 if lab.small else LOAD_SECONDS
    with served(command) as port:
        known = load.known(port, facts)
        if len(known) < KNOWN * len(facts):
            raise BenchmarkError(f"the demo model knows only {len(known)} of {len(facts)} answers")
        tally = load.load(port, known, clients=LOAD_CLIENTS, seconds=seconds)
    for example in tally.examples[:5]:
        print(f"lost: {example}", file=sys.stderr)
    note = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.outcomes.items()))
    what = f"lost or wrong, {LOAD_CLIENTS} clients for {seconds:.0f} s"
    return Row(what, "requests", (tally.lost,), target=0, note=note)


def serving(lab: Lab, bundle: Path) -> list[str | Path]:
    """Return the command that serves what is in `bundle`."""
    return [bundle, "serve", "-t", str(lab.threads)]


def llama_server(lab: Lab, model: Path) -> list[str | Path]:
    """Return the command by which llama-server serves `model`."""
    return [lab.peers.server, "-m", model, "-t", str(lab.threads)]


def clients(port: int, count: int) -> Round:
    """Let `count` clients ask at once, each something else; return what they got."""
    waits: list[float] = []
    begin = time.perf_counter()
    threads = [
        threading.Thread(target=lambda n=number: waits.append(stream(port, n)))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(waits) < count:
        raise BenchmarkError("a client got no answer")
    return Round(count * WRITING / (time.perf_counter() - begin), tuple(waits))


def stream(port: int, number: int) -> float:
    """Read an answer as it comes; return the seconds until its first part."""
    body = {
        "prompt": f"{number} {time.monotonic_ns()} {models.prompt(READING)}",
        "max_tokens": WRITING,
        "stream": True,
        "ignore_eos": True,
        "temperature": 0,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    begin = time.perf_counter()
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})  # fmt: skip
    response = connection.getresponse()
    if response.status != 200:
        raise BenchmarkError(f"status {response.status}: {response.read()!r}")
    first, complete = 0.0, False
    for line in response:
        if not line.startswith(b"data: "):
            continue
        first = first or time.perf_counter() - begin
        complete = complete or b'"finish_reason":"length"' in line
    connection.close()
    if not complete:
        raise BenchmarkError("an answer was cut")
    return first


def requests(port: int, count: int, protocol: Protocol = CHAT) -> float:
    """Return the median milliseconds of requests for one token, over one connection."""
    body = json.dumps({**protocol.body("What is the capital of France?", 1), "stream": False})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    figures = []
    for _ in range(count):
        begin = time.perf_counter()
        connection.request("POST", protocol.path, body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        figures.append(1000 * (time.perf_counter() - begin))
    connection.close()
    return statistics.median(figures)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` percent lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share / 100 * (len(ordered) - 1)))]


def proportional(pid: int) -> int:
    """Return the bytes that a process and all below it take, shared ones divided by who shares."""
    total = 0
    for one in (pid, *descendants(pid)):
        text = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8")
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += 1024 * int(found[1]) if found else 0
    return total
