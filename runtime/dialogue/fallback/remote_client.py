"""Remote server as the fallback: a client for the OpenAI protocol.

Any server with chat completions: https://platform.openai.com/docs/api-reference/chat. Nothing is
sent unless `fallback_on_error` is on, and the user is told where the answers come from.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime import bounds
from runtime.chat_format.chat_template import Message
from runtime.chat_format.prompt import Prompt
from runtime.errors import AppError, ModelError, RemoteError, UsageError
from runtime.inference.stats import FinishReason, Stats
from runtime.inference.token_stream import POLL_SECONDS, Piece
from runtime.options import fallback
from runtime.options.registry import Options

CONNECT_SECONDS, READ_SECONDS = 10.0, 300.0
MESSAGE_MAX = 300  # characters of an error message
STOPS_MAX = 4  # OpenAI's limit of stop strings


@dataclass(frozen=True)
class RemoteServer:
    """A server that speaks OpenAI's protocol, and the model to use there."""

    base_url: str
    model: str
    key: str = ""
    obstacle: UsageError | None = None
    """Why it cannot be used; reported only if the local model cannot be loaded."""

    def notice(self, failure: AppError) -> str:
        """Return the note for the user: why the fallback is used, and what that means."""
        return (
            f"{failure.problem}; FALLBACK: answers come from {self.base_url} ({self.model}), "
            "and what is asked leaves this machine"
        )

    async def post(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[tuple[str, bytes]]:
        """POST `body` to `path` (below the base URL); yield content type and bytes of the response.

        Each chunk comes with the content type. Raise RemoteError if the server cannot be reached or
        returns an error.
        """
        import httpx

        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"{self.base_url.rstrip('/')}/{path}"
        try:
            async with (
                httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client,
                client.stream("POST", url, json=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    said = b""
                    async for part in response.aiter_bytes():
                        said += part
                        if len(said) > bounds.REMOTE_LINE:
                            break
                    raise RemoteError(
                        f"the fallback {self.base_url} refuses ({response.status_code}): "
                        f"{said.decode('utf-8', 'replace')[:MESSAGE_MAX]}",
                        status=response.status_code,
                    )
                kind = response.headers.get("content-type", "application/json")
                async for part in response.aiter_bytes():
                    yield kind, part
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise RemoteError(
                f"the fallback {self.base_url} cannot be asked: {exc or type(exc).__name__}",
                hint="check its address and the network",
            ) from exc


def configured(options: Options) -> RemoteServer | None:
    """Return the fallback server, None if there is no fallback.

    Raise UsageError if its address or model is missing. Everything else becomes `obstacle`, since
    the fallback may be baked in and the local model usable without it.
    """
    if not options.fallback_on_error:
        return None
    if problem := fallback.problem(vars(options)):
        raise UsageError(
            problem, hint="give the server's URL and its model, or leave out fallback_on_error"
        )
    variable = options.fallback_api_key_env
    key = os.environ.get(variable, "") if variable else ""
    obstacle = _obstacle(options, key)
    return RemoteServer(options.fallback_base_url, options.fallback_model, key, obstacle)


def _obstacle(options: Options, key: str) -> UsageError | None:
    """Return why a remote server cannot do what `options` ask for, None if it can."""
    if (variable := options.fallback_api_key_env) and not key:
        return UsageError(
            f"its key should be in the environment's {variable}, which is not set",
            hint=f"export {variable}=…",
        )
    local_only = (
        ("--grammar", options.grammar, "hold an answer to a grammar"),
        ("-j", options.json_schema, "hold an answer to a schema"),
        ("--session", options.session, "go on with a saved conversation"),
    )
    for flag, value, what in local_only:
        if value:
            return UsageError(
                f"it cannot {what} ({flag})",
                hint=f"use a model that can be loaded, or switch that off: {flag} ''",
            )
    return None


def defaults(options: Options) -> dict[str, Any]:
    """Return the request fields for the options that every server supports."""
    found: dict[str, Any] = {"temperature": min(options.temp, 2.0), "top_p": options.top_p}
    if options.n_predict >= 0:
        found["max_tokens"] = options.n_predict
    if options.seed >= 0:
        found["seed"] = options.seed
    if options.stop:
        found["stop"] = list(options.stop[:STOPS_MAX])
    return found


class RemoteAnswerer:
    """Answers with a remote server; implements `Answerer`."""

    context_size = 0

    def __init__(self, server: RemoteServer) -> None:
        self._server = server

    def prompt(self, messages: Sequence[Message], options: Options, answer: str = "") -> Prompt:
        return Prompt(messages)

    def submit(self, prompt: Prompt, options: Options) -> RemoteAnswer:
        body = {
            **defaults(options),
            "stream": True,
            "model": self._server.model,
            "messages": [*prompt.messages],
        }
        return RemoteAnswer(self._server, body)


@dataclass(frozen=True)
class _End:
    """The end of an answer."""

    reason: FinishReason = FinishReason.STOP
    error: AppError | None = None


class RemoteAnswer:
    """A streamed answer from a server; implements `token_stream.Answer`.

    A thread receives it. Only the iterating thread writes to `stats`.
    """

    def __init__(self, server: RemoteServer, body: Mapping[str, Any]) -> None:
        self.stats = Stats()
        """Each piece of the answer counts as one token."""
        self._cancelled = False
        self._items: queue.SimpleQueue[Piece | _End] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(server, body), daemon=True).start()

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces as they arrive; leaving the loop cancels the rest."""
        begin = time.perf_counter()
        try:
            while isinstance(item := self._next(), Piece):
                elapsed = time.perf_counter() - begin
                self.stats.prompt_seconds = self.stats.prompt_seconds or elapsed
                self.stats.generate_seconds = elapsed - self.stats.prompt_seconds
                self.stats.generated_tokens += 1
                yield item
            if item.error and not self._cancelled:
                raise item.error
            self.stats.reason = FinishReason.CANCELLED if self._cancelled else item.reason
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End the answer, even if the server is silent; safe from any thread or signal handler."""
        self._cancelled = True
        self._items.put(_End())

    def _next(self) -> Piece | _End:
        while True:
            try:
                return self._items.get(timeout=POLL_SECONDS)  # short waits let Ctrl-C through
            except queue.Empty:
                continue

    def _read(self, server: RemoteServer, body: Mapping[str, Any]) -> None:
        import asyncio

        try:
            end = asyncio.run(self._receive(server, body))
        except AppError as exc:
            end = _End(error=exc)
        except Exception as exc:  # the reader must not wait forever
            end = _End(error=ModelError(f"the fallback's answer cannot be read: {exc}"))
        self._items.put(end)

    async def _receive(self, server: RemoteServer, body: Mapping[str, Any]) -> _End:
        """Send the request and queue the pieces of the answer; return its end."""
        reason = FinishReason.STOP
        rest = b""
        async for _, part in server.post("chat/completions", body):
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > bounds.REMOTE_LINE:
                raise ModelError(
                    f"the fallback's answer has a line of more than {bounds.REMOTE_LINE} bytes",
                    hint="name another server with --fallback-base-url",
                )
            for line in lines:
                text, why = _parse_event(line.decode("utf-8", "replace"))
                reason = FinishReason.LENGTH if why == "length" else reason
                if text:
                    self._items.put(Piece(text))
            if self._cancelled:
                break
        return _End(reason)


def _parse_event(line: str) -> tuple[str, str]:
    """Return text and finish reason of a line of server-sent events; empty if it has none."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return "", ""
    document = json.loads(data)
    if "error" in document:
        raise ModelError(f"the fallback says: {str(document['error'])[:MESSAGE_MAX]}")
    choices: Sequence[Any] = document.get("choices") or ()
    if not choices:
        return "", ""
    text = (choices[0].get("delta") or {}).get("content")
    if not isinstance(text, str | None):
        raise ModelError(
            f"the fallback's answer is no text: {str(text)[:MESSAGE_MAX]}",
            hint="name another model there with --fallback-model",
        )
    return text or "", choices[0].get("finish_reason") or ""
