"""Options of a conversation: prompts, template, and how long an answer may be."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True)
class ConversationOptions:
    """How a conversation begins, and how answers end."""

    system: str = option(
        "",
        "--system",
        "-sys",
        "--system-prompt",
        metavar="TEXT",
        help="system prompt, given to the model before the conversation",
        aliases=("system_prompt",),
        file="@FILE",
    )
    greeting: str = option(
        "",
        "--greeting",
        metavar="TEXT",
        help="what the chat says first",
        file="@FILE",
    )
    chat_template: str = option(
        "",
        "--chat-template",
        metavar="NAME|JINJA",
        help="chat template: a name the engine knows (chatml, llama3 …) or Jinja text "
        "(default: the model's own)",
        file="FILE",
    )
    session: str = option(
        "",
        "--session",
        baked=False,
        metavar="FILE",
        help="go on with the conversation in FILE, if it exists, and save it there at the end",
    )
    think: bool = option(
        True, "--think", help="let reasoning models think aloud, where their template has a switch"
    )
    n_predict: int = option(
        -1,
        "--predict",
        "-n",
        "--n-predict",
        low=-1,
        metavar="N",
        help="most tokens an answer may have, -1 for no limit",
        aliases=("max_tokens", "predict"),
    )
    special: bool = option(False, "--special", help="show control tokens in answers")
    ignore_eos: bool = option(False, "--ignore-eos", help="go on when the model wants to stop")
