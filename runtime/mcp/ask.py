"""Ask: the tool by which an agent asks the model of this file one question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime import bounds
from runtime.dialogue.conversation import Conversation
from runtime.dialogue.loaded_model import LoadedModel
from runtime.inference.stats import FinishReason
from runtime.mcp.opening import Opening
from runtime.mcp.tool import Answer, Call, Tool
from runtime.options.registry import SPECS, Options
from runtime.units import counted

HOTTEST = float(SPECS["temp"].high or 0)
PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "question": {
        "type": "string",
        "description": "what is asked, with all that is needed to answer it",
    },
    "system": {
        "type": "string",
        "description": "how the model is to answer, in place of what it is told otherwise",
    },
    "max_tokens": {
        "type": "integer",
        "minimum": 1,
        "description": "how long the answer may be; a token is most of a word",
    },
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": HOTTEST,
        "description": "0 for the likeliest answer, 1 for a varied one",
    },
}


@dataclass(frozen=True)
class Ask:
    """Asks a model, each question by itself."""

    opening: Opening
    name: str
    """Of the model, for the agent."""
    fallback: str = ""
    """The address of a server that is asked where the model cannot be loaded, if one is."""
    documents: bool = False
    """Whether it answers from documents."""

    def tool(self) -> Tool:
        """Return the tool."""
        private = "What it is asked is not sent anywhere else."
        if self.fallback:
            private = f"If it cannot be loaded, {self.fallback} is asked in its place."
        if self.documents:
            private = f"It answers from the documents in its file, and cites them. {private}"
        return Tool(
            name="ask",
            title=f"Ask {self.name}",
            description=f"Ask {self.name}, a language model that runs on this machine. It sees the "
            "question alone, neither this conversation nor earlier questions, and can call no "
            f"tools. {private}",
            properties=PROPERTIES,
            required=("question",),
            run=self.answer,
        )

    def answer(self, call: Call) -> Answer:
        """Return the answer to a question; raise AppError if there is none."""
        question = call.text("question")
        system = call.text("system", "") if "system" in call.arguments else None
        changes = _changes(call)
        call.doing = "waiting for the model"
        backend = self.opening.backend()
        options: Options = replace(backend.options, **changes)
        notes: list[str] = []
        grounder = backend.grounder if isinstance(backend, LoadedModel) else None
        conversation = Conversation(backend.answerer, options, notes.append, grounder)
        if system is not None:
            conversation.system = system
        call.when_cancelled(conversation.cancel)
        call.doing = "reading the question"
        thought = said = 0
        for delta in conversation.ask(question) if not call.cancelled else ():
            thought += len(delta.reasoning)
            said += len(delta.content)
            told = f"{said} characters of the answer" if said else f"{thought} of reasoning"
            call.doing = f"writing: {told}"
        if not conversation.turns:
            return Answer([])
        if conversation.stats.reason is FinishReason.LENGTH:
            limit = counted(options.n_predict, "token")
            notes.append(f"the answer was cut: it may have {limit} (max_tokens)")
        notes += _sources(conversation)
        return Answer([str(conversation.turns[-1]["content"]), *(f"({note})" for note in notes)])


def _sources(conversation: Conversation) -> list[str]:
    """Return where the passages stand that an answer cites."""
    grounding, citations = conversation.grounding, conversation.citations
    if not (grounding and citations):
        return []
    return [source.line for source in grounding.sources if source.number in citations.cited]


def _changes(call: Call) -> dict[str, Any]:
    """Return the options that a call sets; raise ArgumentError if one is wrong."""
    changes: dict[str, Any] = {}
    limit = call.count("max_tokens", bounds.INTEGER)
    if limit is not None:
        changes["n_predict"] = limit
    temperature = call.number("temperature", 0, HOTTEST)
    if temperature is not None:
        changes["temp"] = temperature
    return changes
