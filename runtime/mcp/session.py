"""Session: the requests of one agent, each answered in the version of the protocol it is of."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import AppError
from runtime.mcp import json_rpc, protocol
from runtime.mcp.json_rpc import Id, Request, RpcError
from runtime.mcp.tool import Answer, ArgumentError, Call, Tool
from runtime.mcp.wire import Wire

TELL_SECONDS = 1.0
"""Between two notifications of progress: clients give up on what says nothing."""
LOOK_SECONDS = 0.2
"""Between two looks whether anybody still waits for answers, once no more is asked."""
BUSY = -32000


@dataclass(frozen=True)
class About:
    """Who answers, as agents are told."""

    name: str
    version: str
    instructions: str

    @property
    def info(self) -> dict[str, str]:
        """Return name and version."""
        return {"name": self.name, "version": self.version}


class Session:
    """Answers what comes over a wire, calls of tools on threads of their own."""

    def __init__(self, wire: Wire, about: About, tools: Sequence[Tool], most: int) -> None:
        """`most` is how many calls are in work or wait at a time."""
        self._wire = wire
        self._about = about
        self._tools = {tool.name: tool for tool in tools}
        self._most = most
        self._version = ""
        """The one that was settled, empty for none."""
        self._calls: dict[Id, _Running] = {}
        self._sending = 0
        """How many answers to calls are being sent."""
        self._changed = threading.Condition()
        self.ended = threading.Event()
        """Set when no more is asked, and all calls are answered."""

    def serve(self) -> None:
        """Answer until no more is asked; calls that somebody still waits for are ended first."""
        try:
            for line in self._wire.lines():
                self._take(line)
                if self._wire.gone:
                    break
            with self._changed:
                while self._works() and not self._wire.look():
                    self._changed.wait(LOOK_SECONDS)
        finally:
            self.cancel()
            self.ended.set()

    def cancel(self) -> None:
        """End all calls; safe from any thread."""
        with self._changed:
            calls = [*self._calls.values()]
        for running in calls:
            running.call.cancel()

    def wait_for_calls(self, seconds: float) -> None:
        """Wait until all calls so far have ended, but no longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: not self._works(), seconds)

    def _works(self) -> bool:
        return bool(self._calls or self._sending)

    def _take(self, line: bytes) -> None:
        request = None
        try:
            request = json_rpc.read(line)
            if request is None:
                return
            if request.id is None:
                self._note(request)
                return
            found = self._answered(request, request.id)
        except RpcError as error:
            error.id = request.id if request else error.id
            if request is None or request.id is not None:
                self._wire.send(json_rpc.failure(error))
            return
        if found is not None and request.id is not None:
            self._wire.send(json_rpc.result(request.id, found))

    def _note(self, notification: Request) -> None:
        """Take a notification; those of no concern are passed over."""
        if notification.method != "notifications/cancelled":
            return
        with self._changed:
            found = notification.params.get("requestId")
            running = self._calls.get(found) if json_rpc.is_id(found) else None
        if running:
            running.call.cancel()

    def _answered(self, request: Request, identity: Id) -> Mapping[str, Any] | None:
        """Return the answer to a request, None if it comes later; raise RpcError if it fails."""
        if request.method == "initialize":
            return self._initialized(request.params)
        stateless = protocol.is_stateless(request.params)
        known: dict[str, Callable[[], dict[str, Any]]] = {"tools/list": self._listed}
        if stateless:
            known["server/discover"] = self._discovered
        else:
            known["ping"] = dict
        if request.method == "tools/call":
            self._require_settled(stateless)
            self._begin(request, identity, stateless=stateless)
            return None
        if request.method not in known:
            raise RpcError(json_rpc.METHOD_NOT_FOUND, f"there is no '{request.method}' here")
        if request.method != "ping":
            self._require_settled(stateless)
        found = known[request.method]()
        return protocol.complete(protocol.cacheable(found), self._info) if stateless else found

    def _require_settled(self, stateless: bool) -> None:
        if not (stateless or self._version):
            raise RpcError(
                json_rpc.INVALID_REQUEST,
                "begin with 'initialize', or say in '_meta' which version is spoken",
            )

    @property
    def _info(self) -> dict[str, str]:
        return self._about.info

    def _initialized(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self._version = protocol.settled(params.get("protocolVersion"))
        return {
            "protocolVersion": self._version,
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": self._info,
            "instructions": self._about.instructions,
        }

    def _discovered(self) -> dict[str, Any]:
        return {
            "supportedVersions": [*protocol.STATELESS],
            "capabilities": {"tools": {"listChanged": False}},
            "instructions": self._about.instructions,
        }

    def _listed(self) -> dict[str, Any]:
        return {"tools": [tool.described() for tool in self._tools.values()]}

    def _begin(self, request: Request, identity: Id, *, stateless: bool) -> None:
        """Begin a call; raise RpcError if there is no such tool, or there are too many calls."""
        name, arguments = request.params.get("name"), request.params.get("arguments") or {}
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise RpcError(
                json_rpc.INVALID_PARAMS,
                f"there is no tool of that name, only {', '.join(self._tools)}",
            )
        if not isinstance(arguments, dict):
            raise RpcError(json_rpc.INVALID_PARAMS, "'arguments' is not an object")
        meta = request.params.get(protocol.META)
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        running = _Running(tool, Call(arguments), identity, stateless)
        with self._changed:
            if identity in self._calls:
                raise RpcError(json_rpc.INVALID_REQUEST, "a call with this 'id' is in work")
            if len(self._calls) >= self._most:
                raise RpcError(BUSY, f"{self._most} calls are in work or wait: try again later")
            self._calls[identity] = running
        threading.Thread(target=self._work, args=(running,), daemon=True).start()
        if json_rpc.is_id(token):
            threading.Thread(target=self._tell, args=(running, token), daemon=True).start()

    def _work(self, running: _Running) -> None:
        """Send the answer of a call, unless it is not wanted any more."""
        tool, call, identity = running.tool, running.call, running.id
        try:
            found = self._written(_answer(tool, call), running.stateless)
            message = json_rpc.result(identity, found)
        except Exception as exc:
            place = traceback.extract_tb(exc.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"
            print(f"error: {tool.name}: {type(exc).__name__} at {where}: {exc}", file=sys.stderr)
            text = "something unexpected happened; this is a bug"
            message = json_rpc.failure(RpcError(json_rpc.INTERNAL_ERROR, text, id=identity))
        with running.telling:
            running.ended.set()
        with self._changed:
            del self._calls[identity]  # an agent may use it again, once it has the answer
            self._sending += 1
        if not call.cancelled:
            self._wire.send(message)
        with self._changed:
            self._sending -= 1
            self._changed.notify_all()

    def _written(self, answer: Answer, stateless: bool) -> dict[str, Any]:
        content = [{"type": "text", "text": text} for text in answer.texts]
        found = {"content": content, "isError": answer.is_error}
        return protocol.complete(found, self._info) if stateless else found

    def _tell(self, running: _Running, token: Id) -> None:
        """Tell how far a call is, until it has ended: nothing is told behind its answer."""
        step = 0
        while not running.ended.wait(TELL_SECONDS):
            with running.telling:
                if running.ended.is_set() or running.call.cancelled:
                    return
                step += 1
                told = {"progressToken": token, "progress": step, "message": running.call.doing}
                self._wire.send(json_rpc.notification("notifications/progress", told))


@dataclass(frozen=True)
class _Running:
    """A call that is in work."""

    tool: Tool
    call: Call
    id: Id
    stateless: bool
    ended: threading.Event = field(default_factory=threading.Event)
    telling: threading.Lock = field(default_factory=threading.Lock)


def _answer(tool: Tool, call: Call) -> Answer:
    """Return what a tool gives; what is wrong is told to the model that called it."""
    try:
        return tool.call(call)
    except ArgumentError as exc:
        return Answer([str(exc)], is_error=True)
    except AppError as exc:
        return Answer([f"{exc.problem} ({exc.hint})" if exc.hint else exc.problem], is_error=True)
