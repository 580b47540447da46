"""Another server to ask when the model cannot be loaded, if the user wants that.

Any that speaks OpenAI's interface: https://platform.openai.com/docs/api-reference/chat. Nothing
is sent unless `fallback_on_error` is on, and every answer from there is marked.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from runtime.dialogue.conversation import Dialogue
from runtime.errors import AppError, ModelError, UsageError
from runtime.host import resources
from runtime.inference.token_stream import Feed, Piece, TokenStream
from runtime.options.registry import Options

CONNECT_SECONDS, READ_SECONDS = 10.0, 300.0
SAID_MAX = 300  # characters of another server's complaint
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Fallback:
    """Where to ask instead."""

    base_url: str
    model: str
    key: str = ""
    obstacle: UsageError | None = None
    """Why it cannot be asked after all; that matters only where the model cannot be loaded."""

    @property
    def headers(self) -> dict[str, str]:
        """Return what authenticates us there."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def url(self, path: str) -> str:
        """Return the address of `path`, which begins behind the version."""
        return f"{self.base_url.rstrip('/')}/{path}"

    def notice(self, failure: AppError) -> str:
        """Return what to tell the user: why it is used, and what that means."""
        return (
            f"{failure.problem}; FALLBACK: answers come from {self.base_url} ({self.model}), "
            "and what is asked leaves this machine"
        )


def of(options: Options) -> Fallback | None:
    """Return where to ask instead, None where the user does not want that.

    Raise UsageError where it is not said completely. What only asking there would need may be
    missing: whoever got a file with a fallback in it can use the model without.
    """
    if not options.fallback_on_error:
        return None
    missing = [
        name for name in ("fallback_base_url", "fallback_model") if not getattr(options, name)
    ]
    if missing:
        raise UsageError(
            f"fallback_on_error is set, but not {' and '.join(missing)}",
            hint="give all, or leave out fallback_on_error",
        )
    if not options.fallback_base_url.startswith(("http://", "https://")):
        raise UsageError(
            f"fallback_base_url is '{options.fallback_base_url}', expected http:// or https://"
        )
    variable = options.fallback_api_key_env
    key = os.environ.get(variable, "") if variable else ""
    return Fallback(options.fallback_base_url, options.fallback_model, key, _obstacle(options, key))


def _obstacle(options: Options, key: str) -> UsageError | None:
    """Return what keeps another server from answering as `options` ask for."""
    if (variable := options.fallback_api_key_env) and not key:
        return UsageError(
            f"its key should be in the environment's {variable}, which is not set",
            hint=f"export {variable}=…",
        )
    kept_here = (
        ("--grammar", options.grammar, "hold an answer to a grammar"),
        ("-j", options.json_schema, "hold an answer to a schema"),
        ("--session", options.session, "go on with a saved conversation"),
    )
    for flag, value, what in kept_here:
        if value:
            return UsageError(
                f"it cannot {what} ({flag})",
                hint=f"use a model that can be loaded, or switch that off: {flag} ''",
            )
    return None


def instead_of(
    load: Callable[[], Loaded], elsewhere: Fallback | None, notify: Callable[[str], None]
) -> Loaded | Fallback:
    """Return what `load` returns, or `elsewhere` where that fails, and notify the user.

    Raise the AppError of `load` where there is nowhere else to ask, or the command line is wrong:
    nobody's slip may send questions away from this machine. Raise UsageError where `elsewhere`
    could not answer as it is asked to: free text in place of JSON would be worse than none.
    """
    try:
        return load()
    except UsageError:
        raise
    except AppError as exc:
        if elsewhere is None:
            raise
        if obstacle := elsewhere.obstacle:
            raise UsageError(
                f"{exc.problem}; and the fallback cannot answer instead: {obstacle.problem}",
                hint=obstacle.hint,
            ) from exc
        notify(elsewhere.notice(exc))
        return elsewhere


class RemoteConversation(Dialogue):
    """A conversation that another server answers."""

    def __init__(self, fallback: Fallback, options: Options) -> None:
        super().__init__(options, context_size=0)
        self._fallback = fallback
        self._feed: Feed | None = None
        """Of the answer that is on its way."""

    def cancel(self) -> None:
        """End the running answer; see Dialogue. That server may be silent: nobody waits for it."""
        super().cancel()
        if feed := self._feed:
            feed.stats.reason = "cancelled"
            feed.end()

    def report(self) -> dict[str, Any]:
        """Return what the last answer cost, a piece taken for a token, and who gave it."""
        return {
            "fallback": self._fallback.base_url,
            "prompt_s": self.stats.prompt_seconds,
            "generated_tokens": self.stats.generated_tokens,
            "generate_s": self.stats.generate_seconds,
            "reason": self.stats.reason,
            "memory": resources.memory_use(),
        }

    def _texts(self) -> Iterator[str]:
        """Yield the answer as it comes over the network."""
        feed = Feed()
        feed.stats.reason = "stop"
        self.stats = feed.stats
        body = {
            **request(self.options),
            "model": self._fallback.model,
            "messages": self.messages(),
        }
        thread = threading.Thread(target=_read, args=(self._fallback, body, feed), daemon=True)
        thread.start()
        self._feed = feed
        if self._cancelled:  # meanwhile: it was not there yet to be ended
            self.cancel()
        try:
            yield from self._follow(TokenStream(feed))
        finally:
            self._feed = None


def request(options: Options) -> dict[str, Any]:
    """Return what of the options any server understands."""
    found: dict[str, Any] = {
        "stream": True,
        "temperature": min(options.temp, 2.0),
        "top_p": options.top_p,
    }
    if options.n_predict >= 0:
        found["max_tokens"] = options.n_predict
    if options.seed >= 0:
        found["seed"] = options.seed
    if options.stop:
        found["stop"] = list(options.stop[:4])
    return found


def _read(fallback: Fallback, body: Mapping[str, Any], feed: Feed) -> None:
    """Ask, and feed the answer as it comes."""
    import httpx

    stats, begin = feed.stats, time.perf_counter()
    error: AppError | None = None
    try:
        with (
            httpx.Client(timeout=timeout(), follow_redirects=False) as client,
            client.stream(
                "POST", fallback.url("chat/completions"), json=body, headers=fallback.headers
            ) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise ModelError(refusal(fallback, response.status_code, response.text))
            for line in response.iter_lines():
                if feed.cancelled:
                    stats.reason = "cancelled"
                    break
                text, reason = _piece(line)
                stats.reason = "length" if reason == "length" else stats.reason
                if text:
                    now = time.perf_counter()
                    stats.prompt_seconds = stats.prompt_seconds or now - begin
                    stats.generate_seconds = now - begin - stats.prompt_seconds
                    stats.generated_tokens += 1
                    feed.put(Piece(text))
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        error = ModelError(unreachable(fallback, exc), hint="check its address and the network")
    except AppError as exc:
        error = exc
    except Exception as exc:  # the reader must not wait for ever
        error = ModelError(f"the fallback's answer cannot be read: {exc}")
    feed.end(error)


def _piece(line: str) -> tuple[str, str]:
    """Return the text in a line of a stream, and why the answer ended if it did."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return "", ""
    document = json.loads(data)
    if "error" in document:
        raise ModelError(f"the fallback says: {str(document['error'])[:SAID_MAX]}")
    choices: Sequence[Any] = document.get("choices") or ()
    if not choices:
        return "", ""
    text = (choices[0].get("delta") or {}).get("content")
    if not isinstance(text, str | None):
        raise ModelError(
            f"the fallback's answer is no text: {str(text)[:SAID_MAX]}",
            hint="name another model there with --fallback-model",
        )
    return text or "", choices[0].get("finish_reason") or ""


def timeout() -> Any:
    """Return how long to wait for the other server."""
    import httpx

    return httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)


def unreachable(fallback: Fallback, exc: Exception) -> str:
    """Return that the other server cannot be asked."""
    return f"the fallback {fallback.base_url} cannot be asked: {exc or type(exc).__name__}"


def refusal(fallback: Fallback, status: int, text: str) -> str:
    """Return what the other server says instead of an answer."""
    return f"the fallback {fallback.base_url} refuses ({status}): {text[:SAID_MAX]}"
