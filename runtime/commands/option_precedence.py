"""Options of a run, merged from their sources: defaults, baked-in defaults, flags."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runtime.container import bundle_file
from runtime.container.bundle_file import Bundle
from runtime.devices import presence
from runtime.errors import AppError
from runtime.host.std_streams import notify
from runtime.options import fallback, loading
from runtime.options.registry import Options, checked, from_file

MODEL_SPECIFIC = ("chat_template", "lora", "logit_bias", "stop_token_ids")
"""Options that are baked in for one model, and are wrong for any other."""

Defaults = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Returns the defaults that differ from an option's own, given what overrides them."""


def no_defaults(overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return no defaults other than the options' own."""
    return {}


def merged_options(
    bundle: Bundle | None,
    given: Mapping[str, Any],
    model: Path | None,
    defaults: Defaults = no_defaults,
) -> Options:
    """Return the options; flags in `given` override baked-in defaults, which override `defaults`.

    A flag that is None or () is not given. Defaults baked in for the embedded model do not apply to
    another `model`. Raise UsageError if a value is invalid.
    """
    overrides = checked(_baked(bundle, model), "baked-in ")
    flags = {key: from_file(key, value) for key, value in given.items() if value not in (None, ())}
    overrides |= checked(flags, "")
    loading.require_possible(overrides)
    by_flag = flags.keys() & {"fallback_on_error", *fallback.SERVER}
    if not by_flag and (problem := fallback.problem(overrides)):
        # Older releases baked this in, and whoever got such a file cannot mend it.
        notify(f"the baked-in fallback is off: {problem}")
        overrides["fallback_on_error"] = False
    return Options(**{**defaults(overrides), **overrides})


def is_set(name: str, bundle: Bundle | None, given: Mapping[str, Any], model: Path | None) -> bool:
    """Return whether option `name` is given by a flag, or baked in for the model in use."""
    return given.get(name) not in (None, ()) or name in _baked(bundle, model)


def _baked(bundle: Bundle | None, model: Path | None) -> dict[str, Any]:
    """Return the baked-in defaults that apply to `model`, or to the embedded one."""
    baked = dict(bundle.manifest.defaults) if bundle else {}
    if not presence.possible():
        baked.pop("gpu_layers", None)  # who starts it did not ask for them
    if model:
        others = {key: value for key, value in baked.items() if key not in MODEL_SPECIFIC}
        baked = {**others, **_model_specific(model)}
    return baked


def _model_specific(path: Path) -> dict[str, Any]:
    """Return the defaults baked in for the model in `path`, if that is a bundle."""
    # What is wrong with the file is said where it is opened to be used.
    with contextlib.suppress(AppError, OSError):
        if found := bundle_file.find(path):
            found.close()
            defaults = found.manifest.defaults
            return {key: defaults[key] for key in MODEL_SPECIFIC if key in defaults}
    return {}
