"""Names of the mixes of tensor types that model files are made of, such as Q4_K_M.

Source: llama.h (`enum llama_ftype`) of llama.cpp. The package `gguf` has them too, but it loads
numpy, and every `bundle` would wait for that.
"""

from __future__ import annotations

from collections.abc import Mapping

GUESSED = 1024
"""Added to the number by programs that were not told it."""
FILE_TYPES: Mapping[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}


def file_type_name(number: object) -> str:
    """Return the name of a file's `general.file_type`; empty where it has none that is known."""
    return FILE_TYPES.get(number & ~GUESSED, "") if isinstance(number, int) else ""
