"""ctypes access to libchat: llama.cpp's own chat templates, answer parsers and schema converter.

The library is compiled from the folder `cpp` and llama.cpp's `common`; loaded when first needed.
Requests and replies are JSON, in the forms that cpp/chat.cpp describes. No call takes longer, nor
more memory, than its budget there: templates, grammars and schemas are strangers' texts.
"""

from __future__ import annotations

import ctypes
import functools
import json
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.errors import ModelError
from runtime.host.library_paths import CHAT, REINSTALL, library_folder

VERSION = 5
"""Of the interface; cpp/chat.cpp has the same number."""
ROW = 5
"""Numbers that tell of the memory in one place."""
HANDLE, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
STRINGS = ctypes.POINTER(ctypes.c_char_p)
INTS, SIZES = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(SIZE)
FUNCTIONS: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "version": (INT, ()),
    "free": (None, (HANDLE,)),
    "call_wait": (INT, (HANDLE,)),
    "call_take": (HANDLE, (HANDLE, ctypes.POINTER(HANDLE))),
    "call_end": (None, (HANDLE,)),
    "template_call": (HANDLE, (ctypes.c_char_p,)),
    "template_free": (None, (HANDLE,)),
    "prompt_call": (HANDLE, (HANDLE, ctypes.c_char_p)),
    "prompt_free": (None, (HANDLE,)),
    "answer_new": (HANDLE, (HANDLE, ctypes.POINTER(HANDLE))),
    "answer_feed": (HANDLE, (HANDLE, ctypes.c_char_p, SIZE, INT)),
    "answer_free": (None, (HANDLE,)),
    "grammar_call": (HANDLE, (ctypes.c_char_p,)),
    "budget_new": (HANDLE, (HANDLE, INTS, SIZE, INTS, SIZES, SIZE, INTS, SIZE, ctypes.c_int32)),
    "budget_reasons": (INT, (HANDLE,)),
    "budget_end": (INTS, (HANDLE, SIZES)),
    "grammar_new": (
        HANDLE,
        (HANDLE, ctypes.c_char_p, INT, STRINGS, SIZE, INTS, SIZE, ctypes.POINTER(HANDLE)),
    ),
    "grammar_failure": (ctypes.c_char_p, (HANDLE,)),
    "stop": (None, ()),
    "speed": (ctypes.c_double, (HANDLE, INT)),
    "fit": (INT, (HANDLE, HANDLE, HANDLE, HANDLE, HANDLE, SIZES)),
    "memory": (
        INT,
        (
            HANDLE,
            HANDLE,
            HANDLE,
            ctypes.POINTER(ctypes.c_int64),
            SIZE,
            ctypes.POINTER(ctypes.c_uint32),
        ),
    ),
}
"""Result and arguments of each function, by its name after `libchat_`."""

OTHER_NAMES = re.compile(r'^[\w-]*additional-k\d* ::= \["\] \( .*$', re.MULTILINE)
"""Rules of the converter for names of properties that are none of those given."""
EXHAUSTED = re.compile(r"\bit (takes too (long|much memory)|is nested too deeply|was stopped)\b")
"""The words of cpp/budget.cpp."""


class LibraryError(Exception):
    """The library's own words about a failure."""

    def __init__(self, text: str) -> None:
        """`text` may have the place in a template first, and the reason in its last line."""
        place = re.search(r"at line (\d+)", text)
        reason = text.rpartition("Error: ")[2].rpartition("generation failed: ")[2]
        reason = reason.removeprefix("Jinja Exception: ").strip()
        super().__init__(f"{reason} (line {place[1]})" if place else reason)


class Exhausted(LibraryError):
    """The call's budget was used up."""


class Template:
    """A parsed chat template."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        """Raise LibraryError if it does not parse; `bos` and `eos` are texts of these tokens."""
        request = {"source": source, "bos": bos, "eos": eos}
        self._handle, reply = _made("template", _json(request))
        self.capabilities: Mapping[str, bool] = reply["capabilities"]

    def prompt(self, request: Mapping[str, Any]) -> Prompt:
        """Return a rendered conversation; raise LibraryError if the template refuses it."""
        return Prompt(self._handle, request)


class Prompt:
    """A rendered conversation, and how answers to it are read."""

    def __init__(self, template: _Handle, request: Mapping[str, Any]) -> None:
        self._handle, self.reply = _made("prompt", template.pointer, _json(request))
        """`reply` is as in chat.cpp's prompt_reply."""
        self.reply["grammar"] = _mended(self.reply["grammar"])

    def answer(self) -> Answer:
        """Return a reader of one answer to this prompt."""
        return Answer(self._handle)


class Answer:
    """Reads one answer as it comes."""

    def __init__(self, prompt: _Handle) -> None:
        text = HANDLE()
        pointer = _function("answer_new")(prompt.pointer, ctypes.byref(text))
        _reply(text.value)
        self._handle = _Handle(pointer, _function("answer_free"))

    def feed(self, text: str, *, partial: bool) -> dict[str, Any]:
        """Take in text; return what is new, and the whole message unless `partial`.

        Raise LibraryError if the text does not have the form that the prompt asked for.
        """
        data = text.encode("utf-8", "replace")
        return _reply(_function("answer_feed")(self._handle.pointer, data, len(data), partial))


def grammar(schema: str) -> str:
    """Return the GBNF grammar of a JSON schema (JSON text); raise LibraryError if it has none."""
    text = schema.encode("utf-8", "replace")
    _, reply = _called("grammar", text)
    return _mended(str(reply["grammar"]))


def _mended(grammar: str) -> str:
    """Return a converter's grammar in which names of further properties are JSON.

    The converter lets their first character that differs from all given names be a backslash, and
    a quote then ends the name.
    """
    return OTHER_NAMES.sub(lambda rule: rule[0].replace('[^"', r'[^"\\\x00-\x1F\x7F'), grammar)


def budget_sampler(
    vocabulary: Any,
    *,
    start: Sequence[int],
    ends: Sequence[Sequence[int]],
    forced: Sequence[int],
    budget: int,
) -> int:
    """Return a `llama_sampler*`, owned by the caller, that ends reasoning after `budget` tokens.

    `start` and `ends` are the tokens around the reasoning, `forced` are those that end it when the
    budget is used up; -1 is no limit. `vocabulary` is a `llama_vocab*`.
    """
    flat = [token for end in ends for token in end]
    made = _function("budget_new")(
        vocabulary, _ints(start), len(start), _ints(flat), (SIZE * len(ends))(*map(len, ends)),
        len(ends), _ints(forced), len(forced), budget,
    )  # fmt: skip
    if not made:
        raise ModelError("the engine has no memory for a reasoning budget")
    return int(made)


def reasons(sampler: Any) -> bool:
    """Return whether the model is reasoning, by the budget sampler's count."""
    return bool(_function("budget_reasons")(sampler))


def reasoning_end(sampler: Any) -> list[int]:
    """Return the tokens that ended the reasoning; empty if none did."""
    size = SIZE()
    first = _function("budget_end")(sampler, ctypes.byref(size))
    return [first[place] for place in range(size.value)]


def grammar_sampler(
    vocabulary: Any, grammar: str, lazy: tuple[Sequence[bytes], Sequence[int]] | None = None
) -> int:
    """Return the `llama_sampler*` of a GBNF grammar, owned by the caller.

    A `lazy` grammar applies only from one of these patterns, or one of these tokens, on.
    `vocabulary` is a `llama_vocab*`. Raise LibraryError if the grammar cannot be used.
    """
    text, reason = grammar.encode("utf-8", "replace"), HANDLE()
    patterns, tokens = lazy or ((), ())
    made = _function("grammar_new")(
        vocabulary, text, lazy is not None,
        (ctypes.c_char_p * len(patterns))(*patterns), len(patterns),
        _ints(tokens), len(tokens), ctypes.byref(reason),
    )  # fmt: skip
    if made:
        return int(made)
    if not reason.value:
        raise ModelError("the engine has no memory for the grammar")
    try:
        said = ctypes.string_at(reason.value).removesuffix(b"\n\n" + text + b"\n")
    finally:
        _function("free")(reason.value)
    _, _, parsing = said.decode("utf-8", "replace").partition("error parsing grammar: ")
    words = (parsing or said.decode("utf-8", "replace")).split()
    raise LibraryError(" ".join(words) + (" its end" if words[-1:] == ["at"] else ""))


def grammar_failure(sampler: Any) -> str:
    """Return why a grammar's `llama_sampler*` is of no use any more, empty if it is."""
    found = _function("grammar_failure")(sampler)
    return found.decode("utf-8", "replace") if found else ""


def fit(file: int, model: Any, context: Any, split: Any, overrides: Any, margins: Any) -> bool:
    """Set in `model` how many layers go to its devices; return False where that cannot be told.

    `file` is a `FILE*`, `model` and `context` are the engine's parameters, and the rest arrays, see
    cpp/placement.cpp.
    """
    given = ctypes.byref(model), ctypes.byref(context), split, overrides, margins
    return not _function("fit")(file, *given)


def memory(file: int, model: Any, context: Any, places: int) -> tuple[int, list[list[int]]]:
    """Return a model's number of layers, and of bytes in each of so many places; see placement.cpp.

    Both are nothing where the engine cannot tell.
    """
    values, layers = (ctypes.c_int64 * (ROW * places))(), ctypes.c_uint32()
    count = _function("memory")(
        file, ctypes.byref(model), ctypes.byref(context), values, places, ctypes.byref(layers)
    )
    if count < 0:
        return 0, []
    return layers.value, [list(values[ROW * n : ROW * (n + 1)]) for n in range(min(count, places))]


def speed(device: int, threads: int) -> float:
    """Return the seconds that a `ggml_backend_dev_t` would take for a usual answer's products.

    Negative where it cannot compute them; see cpp/speed.cpp.
    """
    return float(_function("speed")(device, threads))


def stop() -> None:
    """End what runs in the library, in all threads, and all that will."""
    if _library.cache_info().currsize:
        _function("stop")()


class _Handle:
    """An object of the library, freed with this one."""

    def __init__(self, pointer: int, free: Callable[[int], None]) -> None:
        self.pointer = pointer
        weakref.finalize(self, free, pointer).atexit = False


def _made(kind: str, *arguments: Any) -> tuple[_Handle, dict[str, Any]]:
    pointer, reply = _called(kind, *arguments)
    return _Handle(pointer, _function(f"{kind}_free")), reply


def _called(kind: str, *arguments: Any) -> tuple[int, dict[str, Any]]:
    """Return a call's handle and reply; what a signal's handler raises meanwhile stops the call."""
    call = _function(f"{kind}_call")(*arguments)
    if not call:
        raise ModelError("the engine has no memory for the conversation")
    try:
        while not _function("call_wait")(call):
            pass
        text = HANDLE()
        pointer = _function("call_take")(call, ctypes.byref(text))
        return pointer, _reply(text.value)
    finally:
        _function("call_end")(call)


def _reply(pointer: int | None) -> dict[str, Any]:
    """Return a reply, freed; raise LibraryError if it tells of a failure."""
    if not pointer:
        raise ModelError("the engine has no memory for the conversation")
    try:
        found: dict[str, Any] = json.loads(ctypes.string_at(pointer))
    finally:
        _function("free")(pointer)
    if "error" in found:
        raise (Exhausted if EXHAUSTED.search(found["error"]) else LibraryError)(found["error"])
    return found


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _ints(values: Sequence[int]) -> Any:
    return (ctypes.c_int32 * len(values))(*values)


@functools.cache
def _library() -> ctypes.CDLL:
    path = library_folder() / CHAT
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in FUNCTIONS.items():
            function = library[f"libchat_{name}"]
            function.restype, function.argtypes = result, arguments
            setattr(library, name, function)
        version = library.version()
    except (OSError, AttributeError) as exc:
        raise ModelError(f"{CHAT} cannot be used: {exc}", hint=REINSTALL) from exc
    if version != VERSION:
        raise ModelError(
            f"{CHAT} is of version {version}, not {VERSION} as this program", hint=REINSTALL
        )
    return library


def _function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(_library(), name)
    return found
