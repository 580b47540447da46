"""The options of sampling: how the next token is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.options.spec import option

SAMPLERS = "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"
"""llama.cpp's order."""


@dataclass(frozen=True, init=False, repr=False, eq=False)  # Options has these
class SamplingOptions:
    """How to sample; flags and defaults are llama.cpp's, where it has them."""

    seed: int = option(
        -1,
        "--seed",
        "-s",
        low=-1,
        high=0xFFFFFFFF,
        metavar="N",
        help="random seed, -1 for a new one each time",
    )
    temp: float = option(
        0.8,
        "--temp",
        "--temperature",
        low=0.0,
        high=100.0,
        metavar="T",
        help="temperature, 0 to always pick the most likely token",
        aliases=("temperature",),
    )
    top_k: int = option(
        40,
        "--top-k",
        low=0,
        metavar="N",
        help="top-k sampling: keep the N most likely tokens, 0 to disable",
    )
    top_p: float = option(
        0.95,
        "--top-p",
        low=0.0,
        high=1.0,
        metavar="P",
        help="top-p sampling: keep the most likely tokens up to a total probability of P, 1 "
        "to disable",
    )
    min_p: float = option(
        0.05,
        "--min-p",
        low=0.0,
        high=1.0,
        metavar="P",
        help="min-p sampling: drop tokens below P times the top probability, 0 to disable",
    )
    top_n_sigma: float = option(
        -1.0,
        "--top-nsigma",
        "--top-n-sigma",
        low=-1.0,
        high=1000.0,
        metavar="N",
        help="top-nσ sampling: drop tokens more than N standard deviations below the top logit, "
        "-1 to disable",
    )
    typical_p: float = option(
        1.0,
        "--typical",
        "--typical-p",
        low=0.0,
        high=1.0,
        metavar="P",
        help="locally typical sampling: keep the most typical tokens up to a total "
        "probability of P, 1 to disable",
        aliases=("typical",),
    )
    dynatemp_range: float = option(
        0.0,
        "--dynatemp-range",
        low=0.0,
        high=100.0,
        metavar="X",
        help="dynamic temperature: vary the temperature by up to X, 0 to disable",
    )
    dynatemp_exp: float = option(
        1.0,
        "--dynatemp-exp",
        low=0.0,
        high=100.0,
        metavar="X",
        help="dynamic temperature: exponent that maps entropy to temperature",
    )
    xtc_probability: float = option(
        0.0,
        "--xtc-probability",
        low=0.0,
        high=1.0,
        metavar="P",
        help="XTC sampling: probability of dropping the most likely tokens, 0 to disable",
    )
    xtc_threshold: float = option(
        0.1,
        "--xtc-threshold",
        low=0.0,
        high=1.0,
        metavar="P",
        help="XTC sampling: drop tokens above this probability, except the least likely of "
        "them; over 0.5 to disable",
    )
    repeat_penalty: float = option(
        1.0,
        "--repeat-penalty",
        low=0.01,
        high=100.0,
        metavar="X",
        help="penalty for repeated tokens, 1 to disable",
    )
    repeat_last_n: int = option(
        64,
        "--repeat-last-n",
        low=-1,
        metavar="N",
        help="number of last tokens to check for repetition, -1 for the whole context",
        aliases=("repeat_lastn",),
    )
    presence_penalty: float = option(
        0.0,
        "--presence-penalty",
        low=-100.0,
        high=100.0,
        metavar="X",
        help="penalty for tokens that have appeared, 0 to disable",
    )
    frequency_penalty: float = option(
        0.0,
        "--frequency-penalty",
        low=-100.0,
        high=100.0,
        metavar="X",
        help="penalty for tokens by how often they have appeared, 0 to disable",
    )
    dry_multiplier: float = option(
        0.0,
        "--dry-multiplier",
        low=0.0,
        high=100.0,
        metavar="X",
        help="DRY sampling: penalty for continuing a repeated sequence, 0 to disable",
    )
    dry_base: float = option(
        1.75,
        "--dry-base",
        low=1.0,
        high=100.0,
        metavar="X",
        help="DRY sampling: base of the penalty, which grows with the length of the sequence",
    )
    dry_allowed_length: int = option(
        2,
        "--dry-allowed-length",
        low=1,
        metavar="N",
        help="DRY sampling: longest repeated sequence without a penalty, in tokens",
    )
    dry_penalty_last_n: int = option(
        -1,
        "--dry-penalty-last-n",
        low=-1,
        metavar="N",
        help="DRY sampling: number of last tokens to check for repetition, -1 for the whole "
        "context",
    )
    dry_sequence_breaker: tuple[str, ...] = option(
        ("\n", ":", '"', "*"),
        "--dry-sequence-breaker",
        metavar="TEXT",
        help="DRY sampling: text that ends a repeated sequence; repeatable, 'none' for none",
    )
    mirostat: int = option(
        0,
        "--mirostat",
        low=0,
        high=2,
        metavar="N",
        help="use Mirostat 1 or 2 instead of top-k, top-p and the like, 0 to disable",
    )
    mirostat_ent: float = option(
        5.0,
        "--mirostat-ent",
        low=0.0,
        high=100.0,
        metavar="X",
        help="Mirostat: target entropy (tau)",
        aliases=("mirostat_tau",),
    )
    mirostat_lr: float = option(
        0.1,
        "--mirostat-lr",
        low=0.0,
        high=1.0,
        metavar="X",
        help="Mirostat: learning rate (eta)",
        aliases=("mirostat_eta",),
    )
    samplers: str = option(
        SAMPLERS,
        "--samplers",
        metavar="NAME;…",
        help="samplers in the order in which they are applied, also infill; those left out are not "
        "applied",
    )
    logit_bias: tuple[str, ...] = option(
        (),
        "--logit-bias",
        "-l",
        metavar="ID+X",
        help="add X to the logit of token ID; ID-X to subtract, ID-inf to ban the token; "
        "repeatable",
    )
    grammar: str = option(
        "",
        "--grammar",
        metavar="GBNF|@FILE",
        help="constrain answers to a grammar in llama.cpp's GBNF notation",
        file="@FILE",
    )
    json_schema: str = option(
        "",
        "--json-schema",
        "-j",
        metavar="JSON|@FILE",
        help="constrain answers to a JSON schema, {} for any JSON object",
        file="@FILE",
    )
    stop: tuple[str, ...] = option(
        (),
        "--reverse-prompt",
        "-r",
        metavar="TEXT",
        help="stop generating at TEXT; repeatable",
        aliases=("reverse_prompt",),
        escapes=True,
    )
    stop_token_ids: tuple[str, ...] = option(
        (),
        "--stop-token-id",
        metavar="ID",
        help="stop generating at token ID; repeatable",
        aliases=("stop_token_id",),
    )
