"""The options of a conversation: its prompts, its template, and where answers end."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class ConversationOptions:
    """What a conversation begins with, and what its answers may be."""

    system: str = option(
        "",
        "--system",
        "-sys",
        "--system-prompt",
        metavar="TEXT|@FILE",
        help="system prompt",
        aliases=("system_prompt",),
        file="@FILE",
    )
    greeting: str = option(
        "",
        "--greeting",
        metavar="TEXT|@FILE",
        help="message to show when a chat starts",
        file="@FILE",
    )
    chat_template: str = option(
        "",
        "--chat-template",
        metavar="NAME|JINJA|FILE",
        help="chat template: a built-in name (chatml, llama3 …), Jinja text or a file "
        "(default: the model's own)",
        file="FILE|@FILE",
    )
    think: bool = option(
        True,
        "--think",
        help="let reasoning models think before they answer (if their chat template supports it)",
    )
    reasoning_budget: int = option(
        -1,
        "--reasoning-budget",
        low=-1,
        metavar="N",
        help="maximum number of tokens to think before the answer, -1 for no limit, 0 for none",
    )
    n_predict: int = option(
        -1,
        "--predict",
        "-n",
        "--n-predict",
        low=-1,
        metavar="N",
        help="maximum number of tokens to generate, -1 for no limit",
        aliases=("max_tokens", "predict"),
    )
    special: bool = option(False, "--special", help="print special tokens in answers")
    ignore_eos: bool = option(
        False, "--ignore-eos", help="ignore the end-of-sequence token and keep generating"
    )
