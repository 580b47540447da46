"""Service: the loaded model as all protocols use it."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from runtime import bounds
from runtime.chat_format.chat_template import TemplateInputs
from runtime.chat_format.fill_in import FillIn
from runtime.chat_format.media_parts import with_markers
from runtime.chat_format.prompt import Prompt, build_prompt, format_prompt
from runtime.dialogue.loaded_model import LoadedModel
from runtime.errors import AppError, ContextOverflow, MediaError, ModelError
from runtime.inference.token_stream import TokenStream
from runtime.json_schema import time_limit
from runtime.model import libchat
from runtime.model.model import Model
from runtime.sanitize import shown
from runtime.server.http.http_error import HTTPError, http_error_of, stopping
from runtime.server.service.answer_request import AnswerRequest, TextOrTokens, prompt_count
from runtime.server.service.bridge import Bridge, Reader
from runtime.server.service.metrics import Metrics
from runtime.server.service.prompt_tokenizer import PromptTokenizer, overflow
from runtime.server.service.rest import Rest, Workers
from runtime.server.service.saved_slots import SavedSlots
from runtime.server.service.web_pictures import WebPictures

LONG = 4096
"""Characters of a prompt, or values, from which preparing them is worth a thread."""
Prepared = TypeVar("Prepared")


@dataclasses.dataclass(frozen=True)
class Identity:
    """Names and versions of the program and its model."""

    name: str
    alias: str
    """The model's name, by which clients ask for it."""
    licence: str = ""


class Service:
    """A loaded model, shared by all requests."""

    def __init__(
        self,
        loaded: LoadedModel,
        metrics: Metrics,
        identity: Identity,
        slots: SavedSlots | None = None,
        web_pictures: WebPictures | None = None,
        workers: Workers | None = None,
    ) -> None:
        """`slots` are those that can be saved, `web_pictures` fetches others', where allowed.

        `workers` are those that sleep together with this one, if there are others.
        """
        self.source = loaded.file
        self.options = loaded.options
        self._loaded = loaded
        self._take_model()
        sleeps = loaded.options.sleeps
        seconds = loaded.options.sleep_idle_seconds
        self.rest = (
            Rest(loaded, seconds, workers or Workers(), self._take_model) if sleeps else None
        )
        """Frees the model while nobody needs it; None if it stays."""
        self.lora = loaded.lora
        self.template_text = loaded.template_text
        self.template = loaded.template
        self.saved_slots = slots
        self.web_pictures = web_pictures
        self.metrics = metrics
        self.identity = identity
        self.started = int(time.time())
        """Seconds since 1970."""
        self.stopping = False
        self._running: set[Reader] = set()
        self._preparing: set[asyncio.Future[Any]] = set()
        self._bridge: Bridge | None = None
        self._answer_seconds = 1.0
        """A moving average."""

    def _take_model(self) -> None:
        """Take what the model consists of: something else each time that it was loaded."""
        loaded = self._loaded
        self.model: Model = loaded.model
        self.scheduler = loaded.scheduler
        self.tokenizer = PromptTokenizer(loaded.model, loaded.scheduler.context_size - 1)
        self.embedder = loaded.embedder
        self.grounder = loaded.grounder
        """Finds passages of the documents; None without any."""
        self.reranker = loaded.reranker
        self.fill_in = FillIn(loaded.model)
        self.devices = loaded.devices
        """Where layers of the model are, in words; empty for the processor alone."""

    @property
    def is_sleeping(self) -> bool:
        """Return whether the model must be loaded again for the next request."""
        return self.rest is not None and self.rest.is_sleeping

    @functools.cached_property
    def digest(self) -> str:
        """Return a hash of the model, in hexadecimal digits."""
        return self.source.fingerprint.removeprefix("sampled-")

    # Prompts

    async def prepare(
        self, make: Callable[[], Prepared], *, characters: int, slow: bool = False
    ) -> Prepared:
        """Return the result of `make`; it runs in a thread if that may take long.

        That is so with many `characters`, tokens or other values, or if it is `slow` for another
        reason. Raise HTTPError if the server stops before.
        """
        if not slow and characters <= LONG:
            return make()
        if self.stopping:
            raise stopping()
        prepared = asyncio.ensure_future(asyncio.to_thread(make))
        self._preparing.add(prepared)
        try:
            return await prepared
        except asyncio.CancelledError:
            if self.stopping:
                raise stopping() from None
            raise
        finally:
            self._preparing.discard(prepared)

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of `text`, without the special tokens of a beginning."""
        return self.model.tokenize(text, beginning=False)

    def text(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """Return the text of tokens, up to the last whole character.

        Control tokens have none, unless they are to be shown as what is `special`.
        """
        read = (token for token in tokens if token >= 0)  # pictures and sounds have no text
        data = b"".join(self.model.piece(token, special=special) for token in read)
        return codecs.getincrementaldecoder("utf-8")("replace").decode(data)

    def tokens_of(self, given: TextOrTokens, *, param: str = "prompt") -> list[list[int]]:
        """Return the tokens of each prompt; raise HTTPError naming the field if one is invalid."""
        if isinstance(given, str):
            return [self.tokenizer.tokenize(given)]
        if given and all(isinstance(item, int) for item in given):
            return [self._known(given, param)]
        if not given:
            raise HTTPError(400, f"'{param}' is empty", param=param)
        if len(given) > bounds.PROMPTS:
            raise HTTPError(
                400, f"'{param}' has {len(given)} texts, at most {bounds.PROMPTS}", param=param
            )
        found = []
        for item in given:
            if isinstance(item, str):
                found.append(self.tokenizer.tokenize(item))
            elif isinstance(item, Sequence):
                found.append(self._known(item, param))
            else:
                raise HTTPError(400, f"'{param}' mixes tokens and texts", param=param)
        return found

    def require_few_answers(self, given: TextOrTokens, count: int = 1) -> None:
        """Raise HTTPError if `count` answers to each prompt are more than ever fit."""
        self._require_few(prompt_count(given), count)

    def _require_few(self, prompts: int, count: int) -> None:
        most = self.options.parallel + self.options.queue
        if prompts * count > most:
            raise HTTPError(
                400,
                f"the request asks for {prompts * count} answers, the server takes {most} at a "
                "time",
                param="prompt" if prompts > 1 else "n",
            )

    def _known(self, tokens: Sequence[Any], param: str) -> list[int]:
        for token in tokens:
            if not 0 <= token < self.model.vocab_size:
                raise HTTPError(
                    400,
                    f"'{param}': {token} is no token: there are {self.model.vocab_size}",
                    param=param,
                )
        return list(tokens)

    def prompt(self, inputs: TemplateInputs) -> Prompt:
        """Return the prompt of a conversation; raise HTTPError if the template fails.

        The server's own system prompt applies if the messages have none; an empty one is none.
        """
        for message in inputs.messages:
            if isinstance(content := message.get("content"), str):
                self.tokenizer.require_room(content)
        with _template_errors():
            return build_prompt(self.template, self.tokenizer, self._with_system(inputs))

    def render(self, inputs: TemplateInputs) -> str:
        """Return the prompt of a conversation as text; raise HTTPError if the template fails."""
        with _template_errors():
            inputs = self._with_system(inputs)
            messages, _ = with_markers(inputs.messages, lambda: self.tokenizer.media_marker)
            return format_prompt(self.template, dataclasses.replace(inputs, messages=messages)).text

    def _with_system(self, inputs: TemplateInputs) -> TemplateInputs:
        found = [*inputs.messages]
        if self.options.system and not any(m["role"] in ("system", "developer") for m in found):
            found.insert(0, {"role": "system", "content": self.options.system})
        messages = [m for m in found if m["role"] != "system" or m["content"]]
        return dataclasses.replace(inputs, messages=messages)

    # Answers

    async def submit(self, request: AnswerRequest, *, pieces: bool) -> Reader:
        """Start all answers; with `pieces` the reader wakes for each piece, else only at the ends.

        Raise HTTPError if the engine refuses one; then none is started.
        """
        if self.stopping:
            raise stopping()
        if not self.scheduler.generates:
            raise HTTPError(501, "this model gives no answers, it only makes embeddings")
        held = request.form or request.options.grammar or request.options.json_schema
        size = sum(map(len, request.prompts)) + len(request.options.logit_bias)
        streams = await self.prepare(
            lambda: self._start(request), characters=request.count * size, slow=bool(held)
        )
        if self._bridge is None:
            self._bridge = Bridge(asyncio.get_running_loop())
        return Reader(self._bridge, streams, pieces=pieces)

    def _start(self, request: AnswerRequest) -> list[TokenStream]:
        streams: list[TokenStream] = []
        try:
            self._known([int(one) for one in request.options.stop_token_ids], "stop_token_ids")
            for prompt in request.prompts:  # before any is started
                self.scheduler.require_room(prompt)
            self._require_few(len(request.prompts), request.count)
            for prompt in request.prompts:
                for number in range(request.count):
                    options = request.options
                    if number and options.seed >= 0:
                        seed = (options.seed + number) % 2**32
                        options = dataclasses.replace(options, seed=seed)
                    streams.append(
                        self.scheduler.submit(
                            prompt,
                            options,
                            form=request.form,
                            alternatives=request.alternatives,
                            manner=request.manner,
                        )
                    )
        except AppError as exc:
            for stream in streams:
                stream.cancel()
            raise self._refusal(exc) from exc
        return streams

    def _refusal(self, exc: AppError) -> HTTPError:
        """Return the error for a request that the engine refuses."""
        if isinstance(exc, ContextOverflow):
            return overflow(exc)
        error = http_error_of(exc)
        if error.status == 503:
            self.metrics.add("rejected", 1)
            error.headers["Retry-After"] = str(self.retry_seconds())
        elif isinstance(exc, ModelError):
            error.status = 400
        return error

    def retry_seconds(self) -> int:
        """Return the seconds after which to retry a request that found the queue full."""
        waiting = self.scheduler.status().waiting
        expected = self._answer_seconds * waiting / max(1, self.options.parallel)
        return max(1, min(60, round(expected)))

    @contextlib.contextmanager
    def track(self, reader: Reader) -> Iterator[None]:
        """Register a request while it is answered, and count its tokens."""
        self._running.add(reader)
        self.metrics.add("processing", 1)
        try:
            yield
        finally:
            self._running.discard(reader)
            self.metrics.add("processing", -1)
            for stream in reader.streams:
                stats = stream.stats
                self.metrics.answered(stats)
                took = stats.prompt_seconds + stats.generate_seconds
                self._answer_seconds += (took - self._answer_seconds) / 10

    def log(self, request: AnswerRequest, answer: str) -> None:
        """Print request and answer, if the user asked for a log."""
        if self.options.log_text:
            asked = " | ".join(self.text(prompt) for prompt in request.prompts)
            text = shown(f"asked: {asked}\nanswered: {answer}")
            print(text, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """End all running answers, and what is rendered or compiled for others."""
        self.stopping = True
        if self.rest:
            self.rest.stop()
        libchat.stop()
        time_limit.stop()
        for prepared in list(self._preparing):
            prepared.cancel()
        for reader in list(self._running):
            reader.cancel()


@contextlib.contextmanager
def _template_errors() -> Iterator[None]:
    """Turn errors of the chat template into HTTPErrors."""
    try:
        yield
    except (ModelError, MediaError) as exc:
        raise HTTPError(400, exc.problem, param="messages") from exc
