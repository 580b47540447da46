"""The bounds of `runtime.bounds`, its documentation and the C++ sources agree."""

from __future__ import annotations

import re

from bound_rows import rows
from paths import ROOT

from bundler.engine import libmtmd
from runtime import bounds

CPP = ROOT / "runtime" / "model" / "cpp"
IN_CPP = {
    ("chat.cpp", "SECONDS"): bounds.TEMPLATE_SECONDS,
    ("chat.cpp", "ANALYSIS_SECONDS"): bounds.ANALYSIS_SECONDS,
    ("chat.cpp", "BYTES"): bounds.LIBRARY_BYTES,
    ("grammar.cpp", "COMPILE_SECONDS"): bounds.COMPILE_SECONDS,
    ("grammar.cpp", "STEP_SECONDS"): bounds.STEP_SECONDS,
    ("grammar.cpp", "ANSWER_SECONDS"): bounds.ANSWER_SECONDS,
    ("grammar.cpp", "BYTES"): bounds.LIBRARY_BYTES,
    ("budget.cpp", "DEEP_STACK"): bounds.LIBRARY_STACK,
}


def constants() -> dict[str, float]:
    """Return all bounds by name."""
    return {name: value for name, value in vars(bounds).items() if name.isupper()}


def test_the_documentation_has_every_bound_as_it_is() -> None:
    listed = rows()

    assert len(listed) == len({row.name for row in listed})
    assert constants() == {row.name: row.most for row in listed}


def test_every_bound_has_its_reason_or_is_of_a_kind_that_has_one() -> None:
    text = (ROOT / "runtime" / "bounds.py").read_text(encoding="utf-8")
    lines = re.findall(r"^([A-Z_]+) = (?:.*?)(?:  # (.+))?$", text, re.M)

    assert [name for name, _ in lines] == list(constants())
    bare = {name for name, reason in lines if not reason}
    assert bare == {
        "LAUNCHER",
        "ARCHIVE",
        "CHUNK_STREAMS",
        "KEY_MEMORY",
        "GGUF_TENSORS",
        "GGUF_DIMENSIONS",
    }


def test_the_library_is_compiled_with_the_same_budgets() -> None:
    for (file, name), value in IN_CPP.items():
        text = (CPP / file).read_text(encoding="utf-8")
        found = re.findall(rf"constexpr [^;]*?\b{name} = ([^,;]+)", text)
        assert len(found) == 1, (file, name)
        assert value == number(found[0]), (file, name)


def test_the_library_for_pictures_is_compiled_with_the_same_bound() -> None:
    assert bounds.PICTURE_PARTS == libmtmd.BLOCKS


def number(text: str) -> float:
    """Return the value of a C++ constant: a number, or one that is shifted."""
    base, _, shift = text.replace("size_t(1)", "1").partition("<<")
    return float(base) * 2 ** int(shift or 0)
