"""What the endpoints do, over an engine: from requests to answers, and nothing of HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime import __version__
from runtime.dialogue.conversation import PROMPT_END
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.prompt import prompt_tokens
from runtime.dialogue.reasoning import Markers
from runtime.errors import AppError, ModelError
from runtime.inference.stats import Stats
from runtime.inference.token_stream import PrefillProgress, SampledToken, TokenStream
from runtime.model.model import Model
from runtime.options.registry import Options
from runtime.server import tool_calls
from runtime.server.bridge import Bridge, Reader
from runtime.server.choice import Choice
from runtime.server.http.http_error import HTTPError, told
from runtime.server.metrics import Metrics
from runtime.server.protocols import llama_server, messages, openai
from runtime.server.protocols.sampling_fields import settled

LONG = 4096
"""Characters from which a prompt is worth a thread to be prepared in."""
LEAST_LOGPROB = -9999.0  # JSON has no infinity


@dataclass
class Ask:
    """What to ask the engine, and how to read its answers."""

    prompts: list[list[int]]
    options: Options
    count: int = 1
    alternatives: int | None = None
    opening: str = ""
    markers: Markers | None = None
    form: tool_calls.Form | None = None
    texts: list[str] = field(default_factory=list)
    """The prompts as text, where they are to be repeated."""

    def choice(self) -> Choice:
        """Return an empty answer."""
        return Choice(markers=self.markers, opening=self.opening, form=self.form)


@dataclass(frozen=True)
class About:
    """What the program says about itself."""

    name: str
    alias: str
    """What the model is called."""
    licence: str = ""


class Service:
    """A loaded model, asked by many."""

    def __init__(self, loaded: LoadedModel, metrics: Metrics, about: About) -> None:
        self.loaded = loaded
        self.model: Model = loaded.model
        self.engine = loaded.scheduler
        self.options = loaded.options
        self.metrics = metrics
        self.about = about
        self.name = about.alias
        self.embedder = loaded.embedder
        self.embeds = loaded.embedder.possible
        self.created = int(time.time())
        self.fingerprint = f"modelembed-{__version__}"
        self.template_text = loaded.template_text
        self.template = loaded.template
        self.form = tool_calls.form_of(self.template_text)
        self.running: set[Reader] = set()
        self.stopping = False
        self._bridge: Bridge | None = None
        self._seconds = 1.0

    # What is asked

    async def chat(self, request: openai.ChatRequest) -> Ask:
        """Return what a chat request asks; raise Problem where it cannot be."""
        heavy = request.tools or request.response_format or request.grammar or request.json_schema
        size = sum(len(message.content or "") for message in request.messages)
        if heavy or size > LONG or any(isinstance(m.content, list) for m in request.messages):
            return await asyncio.to_thread(self._chat, request)
        return self._chat(request)

    def _chat(self, request: openai.ChatRequest) -> Ask:
        limits = request.max_completion_tokens, request.max_tokens, request.n_predict
        options = settled(request, self.options, self._plain_tokens, *limits)
        options = _formed(request.response_format, options)
        tools, form, options = self._tools(request, options)
        held = bool(options.grammar or options.json_schema)
        variables = messages.thinking_variables(request, held=held)
        text = self.render(request.messages, tools, variables)
        markers = self.loaded.markers
        if held and markers and text.rstrip().endswith(markers.begin):
            text += f"{markers.end}\n\n"  # what is held to a form leaves no room for thoughts
        if request.reasoning_format == "none":
            markers = None
        wanted = request.top_logprobs
        if wanted is not None and not request.logprobs:
            raise HTTPError(400, "'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
        return Ask(
            [prompt_tokens(self.model, text)],
            options,
            request.n or 1,
            (wanted or 0) if request.logprobs else None,
            text[-PROMPT_END:],
            markers,
            form,
        )

    def _tools(
        self, request: openai.ChatRequest, options: Options
    ) -> tuple[list[dict[str, Any]], tool_calls.Form | None, Options]:
        """Return the tools to show the model, how it calls them, and the options for that."""
        choice = request.tool_choice
        if not request.tools:
            if choice in (None, "none", "auto"):
                return [], None, options
            raise HTTPError(400, "'tool_choice' asks for a tool, 'tools' has none", param="tools")
        if choice == "none":
            return [], None, options
        if self.form is None:
            raise HTTPError(
                400,
                "this model's chat template has no place for tools, or one that is not known here",
                param="tools",
            )
        tools = [messages.openai_tool(tool) for tool in request.tools]
        options = dataclasses.replace(options, special=True)
        if choice in (None, "auto"):
            return tools, self.form, options
        if options.grammar or options.json_schema:
            raise HTTPError(400, "a tool that must be used leaves no room for another form",
                          param="tool_choice")  # fmt: skip
        forced = tools
        if isinstance(choice, openai.NamedTool):
            forced = [t for t in tools if t["function"]["name"] == choice.function.name]
            if not forced:
                raise HTTPError(
                    400, f"there is no tool '{choice.function.name}'", param="tool_choice"
                )
        try:
            text = tool_calls.grammar(self.form, forced)
        except AppError as exc:
            raise told(exc, param="tools") from exc
        return tools, self.form, dataclasses.replace(options, grammar=text)

    def render(
        self,
        given: Sequence[openai.ChatMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = {},
    ) -> str:
        """Return a conversation as the model reads it; raise Problem where it cannot be."""
        plain = [messages.plain(index, message) for index, message in enumerate(given)]
        if self.options.system and not any(m["role"] == "system" for m in plain):
            plain.insert(0, {"role": "system", "content": self.options.system})
        plain = [m for m in plain if m["role"] != "system" or m["content"]]
        try:
            return self.template.render(plain, tools=tools, variables=variables)
        except ModelError as exc:
            raise HTTPError(400, exc.problem, param="messages") from exc

    async def completion(self, request: openai.CompletionRequest) -> Ask:
        """Return what a completion request asks; raise Problem where it cannot be."""
        if request.suffix:
            raise HTTPError(400, "this model cannot fill in before a suffix", param="suffix")
        if request.best_of and request.best_of > (request.n or 1):
            raise HTTPError(400, "'best_of' beyond 'n' is not supported", param="best_of")
        likely = request.logprobs
        alternatives = None if likely is None or likely is False else int(likely)
        ask = await self.plain(request, alternatives)
        ask.count = request.n or 1
        return ask

    async def plain(
        self,
        request: openai.CompletionRequest | llama_server.CompletionRequest,
        alternatives: int | None = None,
    ) -> Ask:
        """Return how to go on with a text, or several."""
        prompt = request.prompt

        def prepare() -> Ask:
            limits = request.max_tokens, request.n_predict
            options = settled(request, self.options, self._plain_tokens, *limits)
            prompts = self.prompts(prompt)
            given = isinstance(prompt, str)
            texts = [str(prompt)] if given else [self.text(tokens) for tokens in prompts]
            return Ask(prompts, options, 1, alternatives, texts=texts)

        if request.grammar or request.json_schema or not isinstance(prompt, str):
            return await asyncio.to_thread(prepare)
        return await asyncio.to_thread(prepare) if len(prompt) > LONG else prepare()

    def prompts(self, given: openai.Prompt, param: str = "prompt") -> list[list[int]]:
        """Return the tokens of each prompt; raise Problem where there are none."""
        if isinstance(given, str):
            return [self.model.tokenize(given, beginning=True)]
        if given and all(isinstance(item, int) for item in given):
            return [self._known(given, param)]
        if not given:
            raise HTTPError(400, f"'{param}' is empty", param=param)
        found = []
        for item in given:
            if isinstance(item, str):
                found.append(self.model.tokenize(item, beginning=True))
            elif isinstance(item, list):
                found.append(self._known(item, param))
            else:
                raise HTTPError(400, f"'{param}' mixes tokens and texts", param=param)
        return found

    def _known(self, tokens: Sequence[Any], param: str) -> list[int]:
        for token in tokens:
            if not 0 <= token < self.model.vocab_size:
                raise HTTPError(
                    400,
                    f"'{param}': {token} is no token: there are {self.model.vocab_size}",
                    param=param,
                )
        return list(tokens)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return b"".join(self.model.piece(token) for token in tokens).decode("utf-8", "replace")

    def _plain_tokens(self, text: str) -> list[int]:
        return self.model.tokenize(text, beginning=False)

    # What is answered

    async def submit(self, ask: Ask, *, pieces: bool) -> Reader:
        """Start all answers; raise Problem where the engine does not take them."""
        if self.stopping:
            raise HTTPError(503, "the server is stopping", headers={"Retry-After": "5"})
        if not self.engine.generates:
            raise HTTPError(501, "this model gives no answers, it only makes embeddings")
        for prompt in ask.prompts:
            if len(prompt) >= self.engine.context_size:
                raise HTTPError(
                    400,
                    f"the request has {len(prompt)} tokens, the context has room for "
                    f"{self.engine.context_size - 1}; shorten it, or start the server with more "
                    "context (-c)",
                    code="context_length_exceeded",
                )
        if ask.options.grammar or ask.options.json_schema:
            streams = await asyncio.to_thread(self._start, ask)
        else:
            streams = self._start(ask)
        if self._bridge is None:
            self._bridge = Bridge(asyncio.get_running_loop())
        return Reader(self._bridge, streams, pieces=pieces)

    def _start(self, ask: Ask) -> list[TokenStream]:
        streams: list[TokenStream] = []
        try:
            for prompt in ask.prompts:
                for number in range(ask.count):
                    options = ask.options
                    if number and options.seed >= 0:
                        seed = (options.seed + number) % 2**32
                        options = dataclasses.replace(options, seed=seed)
                    streams.append(
                        self.engine.submit(prompt, options, alternatives=ask.alternatives)
                    )
        except AppError as exc:
            for stream in streams:
                stream.cancel()
            problem = told(exc)
            if problem.status == 503:
                self.metrics.add("rejected", 1)
                problem.headers["Retry-After"] = str(self.patience())
            elif isinstance(exc, ModelError):
                problem.status = 400
            raise problem from exc
        return streams

    def patience(self) -> int:
        """Return after how many seconds a request that found the queue full may come again."""
        waiting = self.engine.status().waiting
        return max(1, min(60, round(self._seconds * waiting / max(1, self.options.parallel))))

    @contextlib.contextmanager
    def track(self, reader: Reader) -> Iterator[None]:
        """Know of a request while it is answered, and count what it cost."""
        self.running.add(reader)
        self.metrics.add("processing", 1)
        try:
            yield
        finally:
            self.running.discard(reader)
            self.metrics.add("processing", -1)
            for stream in reader.streams:
                stats = stream.stats
                self.metrics.answered(stats)
                took = stats.prompt_seconds + stats.generate_seconds
                self._seconds += (took - self._seconds) / 10

    def note(self, ask: Ask, answer: str) -> None:
        """Print what was asked and answered, if the user wants that."""
        if self.options.log_text:
            asked = " | ".join(self.text(prompt) for prompt in ask.prompts)
            print(f"asked: {asked}\nanswered: {answer}", file=sys.stderr, flush=True)

    async def old(self, request: llama_server.OldRequest) -> Ask:
        """Return what a request in the older server's terms asks."""
        options = dataclasses.replace(
            self.options,
            n_predict=request.tokens,
            top_k=request.top_k,
            top_p=request.top_p,
            temp=request.temp,
            repeat_penalty=request.repeat_penalty,
            repeat_last_n=request.repeat_lastn,
        )
        prompts = self.prompts(request.prompt)
        return Ask(prompts, options, texts=[request.prompt])

    def stop(self) -> None:
        """Cut all answers."""
        self.stopping = True
        for reader in list(self.running):
            reader.cancel()

    def usage(self, streams: Sequence[TokenStream]) -> openai.Usage:
        """Return what answers to one request cost."""
        prompt = max(stream.stats.prompt_tokens for stream in streams)
        cached = max(stream.stats.cached_tokens for stream in streams)
        answer = sum(stream.stats.generated_tokens for stream in streams)
        details = openai.PromptDetails(cached)
        return openai.Usage(answer, prompt, prompt + answer, details)

    def logprob(self, chosen: SampledToken) -> openai.TokenLogprob:
        """Return how likely a token was, as OpenAI's chats have it."""
        data = self.model.piece(chosen.token, special=True)
        others = []
        for other in chosen.alternatives:
            piece = self.model.piece(other.token, special=True)
            others.append(openai.TopLogprob(_shown(piece), finite(other.logprob), list(piece)))
        return openai.TokenLogprob(_shown(data), finite(chosen.logprob), list(data), others)

    def logprobs(self, chosen: Sequence[SampledToken]) -> openai.Logprobs | None:
        """Return how likely tokens were, None where nobody asked."""
        return openai.Logprobs([self.logprob(one) for one in chosen]) if chosen else None


def timings(stats: Stats) -> openai.Timings:
    """Return how fast an answer was made."""
    computed = stats.prompt_tokens - stats.cached_tokens
    prompt_ms, answer_ms = 1000 * stats.prompt_seconds, 1000 * stats.generate_seconds
    count = stats.generated_tokens
    return openai.Timings(
        stats.cached_tokens,
        computed,
        prompt_ms,
        prompt_ms / computed if computed else 0.0,
        1000 * computed / prompt_ms if prompt_ms else 0.0,
        count,
        answer_ms,
        answer_ms / count if count else 0.0,
        # The first token came with the prompt.
        1000 * max(0, count - 1) / answer_ms if answer_ms else 0.0,
    )


def progress(reading: PrefillProgress) -> openai.PromptProgress:
    """Return how far a prompt has been read."""
    return openai.PromptProgress(
        reading.total, reading.cached, reading.processed, round(1000 * reading.seconds)
    )


def finite(logprob: float) -> float:
    """Return what JSON can say."""
    return max(logprob, LEAST_LOGPROB)


def new_id(kind: str) -> str:
    """Return a name for an answer."""
    return f"{kind}-{secrets.token_urlsafe(18)}"


def _formed(form: openai.ResponseFormat | None, options: Options) -> Options:
    """Return the options that hold an answer to a form."""
    if form is None or form.type == "text":
        return options
    schema: dict[str, Any] | bool | None = form.schema
    if form.type == "json_schema":
        if form.json_schema is None or form.json_schema.schema is None:
            raise HTTPError(
                400, "'response_format.json_schema.schema' is missing", param="response_format"
            )
        schema = form.json_schema.schema
    if options.grammar:
        raise HTTPError(
            400, "give a grammar or a response format, not both", param="response_format"
        )
    document = {} if isinstance(schema, bool) or schema is None else schema
    if not document:
        document = {"type": "object"}
    return dataclasses.replace(options, json_schema=openai.encode(document).decode(), grammar="")


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "replace")
