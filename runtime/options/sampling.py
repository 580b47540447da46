"""The options that say how an answer's tokens are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option


@dataclass(frozen=True)
class SamplingOptions:
    """How to choose tokens; names and defaults are llama.cpp's, where it has them."""

    seed: int = option(
        -1,
        "--seed",
        "-s",
        low=-1,
        high=0xFFFFFFFF,
        metavar="N",
        help="random seed, -1 for a new one every time",
    )
    temp: float = option(
        0.8,
        "--temp",
        "--temperature",
        low=0.0,
        high=100.0,
        metavar="T",
        help="temperature: 0 always takes the likeliest token",
        aliases=("temperature",),
    )
    top_k: int = option(
        40, "--top-k", low=0, metavar="N", help="keep the N likeliest tokens, 0 for all"
    )
    top_p: float = option(
        0.95,
        "--top-p",
        low=0.0,
        high=1.0,
        metavar="P",
        help="keep the likeliest tokens up to this probability, 1 for all",
    )
    min_p: float = option(
        0.05,
        "--min-p",
        low=0.0,
        high=1.0,
        metavar="P",
        help="drop tokens below this share of the likeliest one's, 0 for none",
    )
    typical_p: float = option(
        1.0,
        "--typical",
        "--typical-p",
        low=0.0,
        high=1.0,
        metavar="P",
        help="keep tokens about as surprising as the text so far, 1 for all",
        aliases=("typical",),
    )
    dynatemp_range: float = option(
        0.0,
        "--dynatemp-range",
        low=0.0,
        high=100.0,
        metavar="X",
        help="vary the temperature by up to this, by how sure the model is",
    )
    dynatemp_exp: float = option(
        1.0,
        "--dynatemp-exp",
        low=0.0,
        high=100.0,
        metavar="X",
        help="how the model's doubt becomes temperature",
    )
    xtc_probability: float = option(
        0.0,
        "--xtc-probability",
        low=0.0,
        high=1.0,
        metavar="P",
        help="how often to drop the likeliest tokens, for variety",
    )
    xtc_threshold: float = option(
        0.1,
        "--xtc-threshold",
        low=0.0,
        high=1.0,
        metavar="P",
        help="drop those above this probability, but the last; over 0.5 for none",
    )
    repeat_penalty: float = option(
        1.0,
        "--repeat-penalty",
        low=0.01,
        high=100.0,
        metavar="X",
        help="make repeated tokens less likely, 1 for no change",
    )
    repeat_last_n: int = option(
        64,
        "--repeat-last-n",
        low=-1,
        metavar="N",
        help="how many last tokens count as repeated, -1 for the whole context",
        aliases=("repeat_lastn",),
    )
    presence_penalty: float = option(
        0.0,
        "--presence-penalty",
        low=-100.0,
        high=100.0,
        metavar="X",
        help="make tokens that appeared less likely, 0 for no change",
    )
    frequency_penalty: float = option(
        0.0,
        "--frequency-penalty",
        low=-100.0,
        high=100.0,
        metavar="X",
        help="the same, by how often they appeared, 0 for no change",
    )
    dry_multiplier: float = option(
        0.0,
        "--dry-multiplier",
        low=0.0,
        high=100.0,
        metavar="X",
        help="make the continuation of a repeated passage less likely, 0 for no change",
    )
    dry_base: float = option(
        1.75,
        "--dry-base",
        low=1.0,
        high=100.0,
        metavar="X",
        help="how much less with every token of the passage",
    )
    dry_allowed_length: int = option(
        2,
        "--dry-allowed-length",
        low=1,
        metavar="N",
        help="tokens that may be repeated in a row",
    )
    dry_penalty_last_n: int = option(
        -1,
        "--dry-penalty-last-n",
        low=-1,
        metavar="N",
        help="how many last tokens to search for passages, -1 for the whole context",
    )
    dry_sequence_breaker: tuple[str, ...] = option(
        ("\n", ":", '"', "*"),
        "--dry-sequence-breaker",
        metavar="TEXT",
        help="what ends a passage; repeatable, 'none' for nothing",
    )
    mirostat: int = option(
        0,
        "--mirostat",
        low=0,
        high=2,
        metavar="N",
        help="steer the surprise instead of cutting the unlikely: 1, 2, or 0 for off",
    )
    mirostat_ent: float = option(
        5.0,
        "--mirostat-ent",
        low=0.0,
        high=100.0,
        metavar="X",
        help="the surprise that mirostat aims at",
        aliases=("mirostat_tau",),
    )
    mirostat_lr: float = option(
        0.1,
        "--mirostat-lr",
        low=0.0,
        high=1.0,
        metavar="X",
        help="how fast mirostat follows",
        aliases=("mirostat_eta",),
    )
    logit_bias: tuple[str, ...] = option(
        (),
        "--logit-bias",
        "-l",
        metavar="ID+X",
        help="make token ID likelier by X, or with ID-X less likely, ID-inf impossible; repeatable",
    )
    grammar: str = option(
        "",
        "--grammar",
        metavar="GBNF|@FILE",
        help="hold the answer to a grammar in llama.cpp's notation",
        file="@FILE",
    )
    json_schema: str = option(
        "",
        "--json-schema",
        "-j",
        metavar="JSON|@FILE",
        help="hold the answer to a JSON schema, {} for any object",
        file="@FILE",
    )
    stop: tuple[str, ...] = option(
        (),
        "--reverse-prompt",
        "-r",
        metavar="TEXT",
        help="end an answer before this text; repeatable",
        aliases=("reverse_prompt",),
    )
