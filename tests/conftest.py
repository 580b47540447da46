"""What the tests share: the runtime stub, the demo model, and bundles of it in every form."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from paths import DEMO, FACTS
from program import Program
from workers import made_once, take_own_cores

from bundler.stub import builder as stubs

if TYPE_CHECKING:  # what drives a browser is loaded where one is wanted
    from playwright.sync_api import Browser, Page
    from servers import Served

# A shell's background jobs ignore Ctrl-C, and so would all that is tested here.
signal.signal(signal.SIGINT, signal.default_int_handler)
take_own_cores()
# An example may take long because the machine is busy with others.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

MODES = {
    "stored": ("stored", ()),
    "zstd": ("zstd", ()),
    "zstd in a file": ("zstd", ("--no-memfd",)),
    "read, not mapped": ("stored", ("--no-mmap",)),
    "-m gguf": ("stub", ("-m", str(DEMO))),
    "-m bundle": ("stub", ("-m", "STORED")),
}
"""Every way a model gets into the engine: which executable, with which flags."""


@pytest.fixture(scope="session", autouse=True)
def _data_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what programs keep for their user out of the folder of whoever tests."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        # Other tests build stubs as well, and the cache keeps a few.
        made = stubs.build(lambda text: print(text, file=sys.stderr))
        try:
            os.link(made, folder / made.name)
        except OSError:  # another file system
            shutil.copy2(made, folder / made.name)

    [path] = made_once(tmp_path_factory, "stub", build).iterdir()
    return path


@pytest.fixture(scope="session")
def modelembed(stub: Path) -> Program:
    """Return the bundler's command line, as it is installed."""
    return Program(Path(sys.executable).parent / "modelembed")


@pytest.fixture(scope="session")
def forms(
    modelembed: Program, stub: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Return executables with the demo model: stored, compressed, and none."""
    compressions = {"stored": "none", "zstd": "zstd"}

    def bundle(folder: Path) -> None:
        for form, compression in compressions.items():
            done = modelembed(
                "bundle", str(DEMO), "-o", str(folder / form), "--compress", compression,
                "--no-check", "--force", "--set", "temp=0",
            )  # fmt: skip
            assert done.code == 0, done.err

    folder = made_once(tmp_path_factory, "forms", bundle)
    return {"stub": stub, **{form: folder / form for form in compressions}}


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


@pytest.fixture
def hangup_heard() -> Iterator[None]:
    """Let a closed terminal be heard, which who runs under nohup ignores."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


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
