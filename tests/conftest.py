"""What the tests share: the runtime stub, the demo model, and bundles of it in every form."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundler.stub import builder as stubs

if TYPE_CHECKING:  # what drives a browser is loaded where one is wanted
    from playwright.sync_api import Browser, Page
    from servers import Served

# A shell's background jobs ignore Ctrl-C, and so would all that is tested here.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "models" / "demo.gguf"
FACTS = ROOT / "models" / "demo.facts.json"
SECONDS = 120

MODES = {
    "stored": ("stored", ()),
    "zstd": ("zstd", ()),
    "zstd in a file": ("zstd", ("--no-memfd",)),
    "read, not mapped": ("stored", ("--no-mmap",)),
    "-m gguf": ("stub", ("-m", str(DEMO))),
    "-m bundle": ("stub", ("-m", "STORED")),
}
"""Every way a model gets into the engine: which executable, with which flags."""


@dataclass(frozen=True)
class Done:
    """A finished run: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """An executable under test, with flags that are always given."""

    path: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS, **variables: str
    ) -> Done:
        """Run it to its end. Without `stdin` nothing is piped in."""
        done = subprocess.run(
            [str(self.path), *self.flags, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            env={**os.environ, **self.environment, **variables},
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ask(self, question: str, *flags: str) -> str:
        """Return its answer to one question; anything else on the way is a failure."""
        done = self("-p", question, *flags)
        assert done.code == 0, done.err
        assert done.err == ""
        return done.out.removesuffix("\n")


@pytest.fixture(scope="session", autouse=True)
def _data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what programs keep for their user out of the folder of whoever tests."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


def is_writing(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait until `process` holds a file open in `folder`, named or not; tell if it ever did."""
    descriptors = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        for descriptor in os.listdir(descriptors):
            with contextlib.suppress(FileNotFoundError):  # closed since
                if os.readlink(descriptors / descriptor).startswith(str(folder)):
                    return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope="session")
def stub() -> Path:
    return stubs.build(lambda text: print(text, file=sys.stderr))


@pytest.fixture(scope="session")
def modelembed(stub: Path) -> Program:
    """Return the bundler's command line, as it is installed."""
    return Program(Path(sys.executable).parent / "modelembed")


@pytest.fixture(scope="session")
def forms(
    modelembed: Program, stub: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Return executables with the demo model: stored, compressed, and none."""
    folder = tmp_path_factory.mktemp("forms")
    made = {"stub": stub}
    for form, compression in (("stored", "none"), ("zstd", "zstd")):
        path = folder / form
        done = modelembed(
            "bundle", str(DEMO), "-o", str(path), "--compress", compression, "--no-check",
            "--set", "temp=0",
        )  # fmt: skip
        assert done.code == 0, done.err
        made[form] = path
    return made


@pytest.fixture(scope="session")
def chat(forms: dict[str, Path]) -> Program:
    """Return the demo model as a stored bundle, answering greedily."""
    return Program(forms["stored"])


@pytest.fixture(scope="session", params=MODES)
def loaded(request: pytest.FixtureRequest, forms: dict[str, Path]) -> Program:
    """Return the demo model opened in each possible way, answering greedily."""
    form, flags = MODES[request.param]
    given = [str(forms["stored"]) if flag == "STORED" else flag for flag in flags]
    return Program(forms[form], (*given, "--temp", "0"))


@pytest.fixture(scope="session")
def facts() -> dict[str, list[dict[str, str]]]:
    """Return the demo model's questions and answers."""
    document: dict[str, list[dict[str, str]]] = json.loads(FACTS.read_text())
    return document


@pytest.fixture
def clean_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, where nothing is remembered."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.delenv("XDG_DATA_HOME")
    return home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from browsers import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def site(chat: Program) -> Iterator[Served]:
    """Return a server whose page is looked at."""
    from servers import serve

    with serve(chat, "-t", "1", "--greeting", "Ask me about capitals.") as running:
        yield running


@pytest.fixture
def page(browser: Browser, site: Served) -> Iterator[Page]:
    """Return the page, in a browser profile of its own; it must stay quiet."""
    from browsers import opened

    with opened(browser, site.url) as (ready, _):
        yield ready
