"""Config file: baked-in defaults from a JSON file, with the keys that such files usually have."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import JSON, UsageError
from runtime.host.user_files import read_text
from runtime.options.registry import BAKEABLE, check, from_file, resolve_name

# Key of the file -> runtime option, beside the options' own names.
TOP_LEVEL: Mapping[str, type] = {
    "provider": str,
    "model": str,
    "display_name": str,
    "model_path": str,
    "context_length": int,
    "n_gpu_layers": int,
    "supports_images": bool,
    "mmproj": str,
    "system": str,
    "system_prompt": str,
    "greeting": str,
    "chat_template": str,
    "license": str,
    "parameters": dict,
    "fallback_on_error": bool,
    "fallback": dict,
}
PROVIDERS = ("llama_cpp", "llama-cpp", "llama.cpp")
"""What such files call the engine that is always used here."""
WORDS = ("auto", "none")
"""What `mmproj` may say instead of a file."""
FALLBACK = ("base_url", "model", "api_key_env")
"""What a fallback is described by; each is an option called fallback_…."""
NAMES = {bool: "true or false", str: "text", int: "a whole number", dict: "an object"}


@dataclass
class Config:
    """What a configuration file asks for."""

    name: str = ""
    model: Path | None = None
    mmproj: str = ""
    """auto, none or the path of a projector; empty if the file does not say."""
    supports_images: bool | None = None
    """Whether the program must take pictures, or must not; None if the file does not say."""
    license: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read(path: Path) -> Config:
    """Return what the JSON file `path` says; raise UsageError naming the key that is wrong."""
    text = read_text(path, encoding="utf-8-sig")  # Notepad adds a mark
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageError(
            f"{path} is not JSON: {exc}", hint=f"{JSON}: see the example in the README"
        ) from exc
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds {type(document).__name__}, expected an object")
    config = Config()
    for key, value in document.items():
        if key not in TOP_LEVEL:
            config.warnings.append(_unknown(path, key, TOP_LEVEL))
            continue
        wanted = TOP_LEVEL[key]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise UsageError(f"{path}: '{key}' is {json.dumps(value)}, expected {NAMES[wanted]}")
        _take(config, path, key, value)
    return config


def _take(config: Config, path: Path, key: str, value: Any) -> None:
    """Put one key of the file where it belongs."""
    if key in ("model", "display_name"):
        # The display name wins, whichever comes first.
        if key == "display_name" or not config.name:
            config.name = value
    elif key == "model_path":
        config.model = _file(path, value)
    elif key == "mmproj":
        config.mmproj = value if value in ("", *WORDS) else str(_file(path, value))
    elif key == "license":
        config.license = value
    elif key == "provider":
        if value not in PROVIDERS:
            config.warnings.append(
                f"{path}: 'provider' is '{value}', expected 'llama_cpp': the program runs models "
                "with llama.cpp in any case"
            )
    elif key == "supports_images":
        config.supports_images = value
    elif key == "parameters":
        for name, parameter in value.items():
            where = f"parameters.{name}"
            try:
                option = resolve_name(name)
            except UsageError:
                config.warnings.append(_unknown(path, where, BAKEABLE))
                continue
            parameter = from_file(option, parameter, path.parent)
            config.defaults[option] = check(option, parameter, f"{path}: {where}")
    elif key == "fallback":
        for name, part in value.items():
            where = f"fallback.{name}"
            if name not in FALLBACK:
                config.warnings.append(_unknown(path, where, FALLBACK))
                continue
            option = resolve_name(f"fallback_{name}")
            config.defaults[option] = check(option, part, f"{path}: {where}")
    else:
        option = resolve_name(key)
        value = from_file(option, value, path.parent)
        config.defaults[option] = check(option, value, f"{path}: {key}")


def _file(path: Path, value: str) -> Path:
    """Return the path that a value of the config file `path` names, relative to its folder."""
    expanded = os.path.expandvars(os.path.expanduser(value))
    return path.parent / expanded  # an absolute path stays itself


def _unknown(path: Path, key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key.rpartition(".")[2], list(known), 1)
    guess = f" (did you mean '{close[0]}'?)" if close else ""
    return f"{path}: unknown key '{key}' is ignored{guess}"
