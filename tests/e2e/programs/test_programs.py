"""Programs that people use, as they are: each is pointed at the produced server and asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from npm_programs import module_folder, program
from repertoire import cue
from servers import Served

HELLO, AFTER = "Hello there, Zoë.", "It is done, and well."
HERE = Path(__file__).parent
SECONDS = 600


def run(command: list[str], home: Path, **variables: str) -> str:
    """Run a program in a home of its own; return what it prints."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=SECONDS, check=False,
        stdin=subprocess.DEVNULL, cwd=home / "work", env={**kept, "HOME": str(home), **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ai_sdk(server: Served, home: Path) -> None:
    script = module_folder("ai") / "ask.mjs"  # modules are looked for from where it lies
    shutil.copy(HERE / "ask.mjs", script)
    cues = [cue("hello"), cue("weather"), cue("after")]
    found = json.loads(run(["node", str(script), server.url, *cues], home))
    for name in ("responses", "chat completions", "messages"):
        assert [HELLO, HELLO, AFTER] == found[name]
    assert [HELLO] == found["ollama"]


def test_codex(server: Served, home: Path) -> None:
    (home / "config.toml").write_text(
        'model = "any"\nmodel_provider = "chat"\n'
        f'[model_providers.chat]\nname = "chat"\nbase_url = "{server.url}/v1"\n'
    )
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    command = [program("codex"), "exec", *flags, cue("codex")]
    assert AFTER in run(command, home, CODEX_HOME=str(home))


def test_claude_code(server: Served, home: Path) -> None:
    settings = {
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_MODEL": "any",
        "ANTHROPIC_SMALL_FAST_MODEL": "any",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    command = [program("claude"), "-p", cue("claude"), "--allowedTools", "Bash"]
    assert AFTER in run(command, home, **settings)


def test_opencode(server: Served, home: Path) -> None:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{server.url}/v1"},
        "models": {"any": {}},
    }
    config = {"provider": {"chat": provider}, "model": "chat/any", "autoupdate": False}
    (home / "work" / "opencode.json").write_text(json.dumps(config))
    command = [program("opencode"), "run", cue("opencode")]
    assert AFTER in run(command, home)


def test_continue(server: Served, home: Path) -> None:
    for number, (provider, base) in enumerate({"ollama": "", "openai": "/v1"}.items()):
        config = home / f"config{number}.yaml"
        config.write_text(
            "name: chat\nversion: 0.0.1\nschema: v1\n"
            f"models: [{{name: chat, provider: {provider}, model: any, "
            f"apiBase: '{server.url}{base}', apiKey: none}}]\n"
        )
        command = [program("cn"), "-p", "--config", str(config), cue("hello")]
        assert HELLO in run(command, home)
