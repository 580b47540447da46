"""The same interface when the model cannot be loaded: another server answers, and that is said.

Every answer carries `X-Modelembed-Fallback` with that server's address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec

from runtime import __version__
from runtime.dialogue.remote_client import Fallback, refusal, timeout, unreachable
from runtime.options.registry import Options
from runtime.server.http.endpoint import NO_STORE, read_body, while_connected
from runtime.server.http.guard import Receive, Scope, Send, respond
from runtime.server.http.http_error import HTTPError, decode, encode
from runtime.server.protocols.llama_server_types import GenerationDefaults, Health, Program, Props
from runtime.server.protocols.openai_models import ModelCard, ModelList
from runtime.server.protocols.sampling_fields import option_fields

MARK = b"x-modelembed-fallback"
FORWARDED = {
    "/v1/chat/completions": "chat/completions",
    "/chat/completions": "chat/completions",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/embeddings": "embeddings",
}


class Remote:
    """Answers what the other server can, and what a page needs to know."""

    def __init__(self, fallback: Fallback, options: Options, name: str, body_max: int) -> None:
        self._fallback = fallback
        self._options = options
        self._name = name
        self._body_max = body_max
        self._mark = [(MARK, fallback.base_url.encode("ascii", "replace"))]
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Cut all answers."""
        for task in list(self._tasks):
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raise HTTPError where only the model itself could."""
        path = scope["path"]
        if path in FORWARDED:
            await self._forward(FORWARDED[path], receive, send)
            return
        known: dict[str, Any] = {
            "/health": Health("ok", self._fallback.base_url),
            "/v1/models": ModelList(data=[self._card()]),
            "/props": self._props(),
        }
        if path not in known:
            raise HTTPError(
                501, f"the model is not loaded; {self._fallback.base_url} answers, but not this"
            )
        await respond(send, 200, encode(known[path]), [*NO_STORE, *self._mark])

    async def _forward(self, path: str, receive: Receive, send: Send) -> None:
        """Let the other server answer, as it comes."""
        body = decode(msgspec.json.decode, await read_body(receive, self._body_max))
        if not isinstance(body, dict):
            raise HTTPError(400, "expected a JSON object")
        body["model"] = self._fallback.model
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        begun = False
        try:
            async with while_connected(receive):
                async for head, part in self._asked(path, body):
                    if not begun:
                        begun = True
                        await send({"type": "http.response.start", "status": 200, "headers": head})
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._tasks.discard(task)

    async def _asked(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[tuple[list[tuple[bytes, bytes]], bytes]]:
        """Yield the answer's headers with each part of it; raise HTTPError where there is none."""
        fallback = self._fallback
        try:
            async with (
                httpx.AsyncClient(timeout=timeout(), follow_redirects=False) as client,
                client.stream(
                    "POST", fallback.url(path), json=body, headers=fallback.headers
                ) as response,
            ):
                if response.status_code != 200:
                    await response.aread()
                    # What is wrong with our key there is not the client's fault.
                    ours = response.status_code in (401, 403) or response.status_code >= 500
                    status = 502 if ours else response.status_code
                    raise HTTPError(status, refusal(fallback, response.status_code, response.text))
                kind = response.headers.get("content-type", "application/json").encode()
                head = [(b"content-type", kind), *NO_STORE, *self._mark]
                async for part in response.aiter_bytes():
                    yield head, part
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise HTTPError(502, unreachable(fallback, exc)) from exc

    def _card(self) -> ModelCard:
        return ModelCard(
            id=self._fallback.model, created=int(time.time()), owned_by=self._fallback.base_url
        )

    def _props(self) -> Props:
        options = self._options
        return Props(
            default_generation_settings=GenerationDefaults(0, option_fields(options)),
            total_slots=0,
            model_alias=self._fallback.model,
            model_path=self._fallback.base_url,
            modalities={"vision": False, "audio": False},
            chat_template="",
            bos_token="",
            eos_token="",
            build_info=f"modelembed {__version__}",
            modelembed=Program(
                name=self._name,
                greeting=options.greeting,
                system=options.system,
                licence="",
                version=__version__,
                thinking=False,
                tools=True,
                embeddings=True,
                fallback=self._fallback.base_url,
            ),
        )
