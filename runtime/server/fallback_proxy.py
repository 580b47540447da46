"""Proxy to the fallback server, for when the model could not be loaded.

Every response has the header `X-Modelembed-Fallback` with that server's address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from runtime import __version__
from runtime.chat_format.prompt import messages_of
from runtime.dialogue.fallback import remote_client
from runtime.dialogue.fallback.remote_model import RemoteModel
from runtime.errors import RemoteError
from runtime.server.http.endpoint import NO_STORE, while_connected
from runtime.server.http.guard import Receive, Scope, Send, respond
from runtime.server.http.http_error import HTTPError, encode
from runtime.server.http.request_body import BodyReader
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
GENERATING = ("chat/completions", "completions")
LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")
"""Fields that say how long an answer may be."""


class FallbackProxy:
    """Forwards chat requests to the fallback server; answers itself what the page asks.

    The program's own options apply where a request does not set them, as with the local model.
    """

    def __init__(self, remote: RemoteModel, name: str, reader: BodyReader) -> None:
        self._server = remote.server
        self._options = remote.options
        self._name = name
        self._reader = reader
        self._mark = [(MARK, remote.server.base_url.encode("ascii", "replace"))]
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """End all running responses."""
        for task in list(self._tasks):
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raise HTTPError for what only the local model can do."""
        path = scope["path"]
        if path in FORWARDED:
            await self._forward(FORWARDED[path], scope, receive, send)
            return
        known: dict[str, Any] = {
            "/health": Health("ok", self._server.base_url),
            "/v1/models": ModelList(data=[self._card()]),
            "/props": self._props(),
        }
        if path not in known:
            raise HTTPError(
                501, f"the model is not loaded; {self._server.base_url} answers, but not this"
            )
        await respond(send, 200, encode(known[path]), [*NO_STORE, *self._mark])

    async def _forward(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, and stream the response back unchanged."""
        body = await self._reader.read(scope, receive, msgspec.json.decode)
        if not isinstance(body, dict):
            raise HTTPError(400, "expected a JSON object")
        body = self._completed(path, body)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        begun = False
        try:
            async with while_connected(receive):
                async for kind, part in self._server.post(path, body):
                    if not begun:
                        begun = True
                        headers = [(b"content-type", kind.encode()), *NO_STORE, *self._mark]
                        await send(
                            {"type": "http.response.start", "status": 200, "headers": headers}
                        )
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except RemoteError as exc:
            # What is wrong with our key there is not the client's fault.
            ours = exc.status is None or exc.status in (401, 403) or exc.status >= 500
            raise HTTPError(502 if ours else exc.status or 502, exc.problem) from exc
        finally:
            self._tasks.discard(task)

    def _completed(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request with the system prompt and sampling options it does not set."""
        completed = {**body, "model": self._server.model}
        if path not in GENERATING:
            return completed
        if completed.pop("documents", None):
            raise HTTPError(
                501,
                f"the documents stay here: {self._server.base_url} answers without them",
                param="documents",
            )
        known = remote_client.defaults(self._options)
        if any(body.get(name) is not None for name in LIMITS):
            known.pop("max_tokens", None)
        completed |= {key: value for key, value in known.items() if body.get(key) is None}
        system, messages = self._options.system, body.get("messages")
        if system and isinstance(messages, list) and not any(map(_is_system, messages)):
            completed["messages"] = messages_of(system, messages)
        return completed

    def _card(self) -> ModelCard:
        return ModelCard(
            id=self._server.model, created=int(time.time()), owned_by=self._server.base_url
        )

    def _props(self) -> Props:
        options = self._options
        return Props(
            default_generation_settings=GenerationDefaults(0, option_fields(options)),
            total_slots=0,
            model_alias=self._server.model,
            model_path=self._server.base_url,
            modalities={"vision": False, "audio": False},
            chat_template="",
            chat_template_caps={},
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
                tools="native",
                embeddings=True,
                devices="",
                documents=0,
                pieces=0,
                max_body=int(options.max_body * 1_000_000),
                fallback=self._server.base_url,
            ),
        )


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")
