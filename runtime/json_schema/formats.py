"""Formats of strings in JSON schemas, as patterns: a text that matches has the format.

Not every text of a format matches: an address of IPv6 may be written in more ways, a URI be longer.
"""

from __future__ import annotations

YEAR = r"(?:[1-9]\d\d\d|0[1-9]\d\d|00[1-9]\d|000[1-9])"
OF_FOUR = "(?:0[48]|[2468][048]|[13579][26])"
DATE = (
    rf"(?:{YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|(?:\d\d{OF_FOUR}|{OF_FOUR}00)-02-29)"
)
TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
# The seconds fit into 32 bits and the days into Python's nine digits, all together: programs that
# read durations have such limits.
SECONDS = r"\d{1,9}(?:\.\d{1,6})?S"
MINUTES = rf"\d{{1,7}}M(?:{SECONDS})?"
CLOCK = rf"T(?:\d{{1,5}}H(?:{MINUTES})?|{MINUTES}|{SECONDS})"
DAYS = rf"\d{{1,8}}D(?:{CLOCK})?"
MONTHS = rf"\d{{1,6}}M(?:{DAYS})?"
DURATION = rf"P(?:\d{{1,5}}Y(?:{MONTHS})?|{MONTHS}|{DAYS}|{CLOCK}|\d{{1,7}}W)"
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
HOST = rf"{LABEL}(?:\.{LABEL}){{0,6}}"
MAILBOX = "[A-Za-z0-9_+-]{1,20}"
EMAIL = rf"{MAILBOX}(?:\.{MAILBOX}){{0,2}}@{LABEL}(?:\.{LABEL}){{1,5}}"
BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)"
WORD = "[0-9a-f]{1,4}"
IPV6 = (
    f"(?:(?:{WORD}:){{7}}{WORD}|(?:{WORD}:){{1,7}}:|"
    + "|".join(f"(?:{WORD}:){{{front}}}(?::{WORD}){{1,{7 - front}}}" for front in range(1, 7))
    + f"|::(?:{WORD}:){{0,6}}{WORD}|::)"
)
PATH = r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F][0-9A-F]){0,400})"
TAIL = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F][0-9A-F]){0,100}"
URI = (
    rf"(?:[a-z][a-z0-9+.-]{{0,15}}://{HOST}(?::[1-9]\d{{0,3}})?{PATH}?(?:\?{TAIL})?(?:#{TAIL})?"
    rf"|mailto:{EMAIL})"
)
HEX = "[0-9a-fA-F]"
UUID = rf"{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}"

PATTERNS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": DURATION,
    "email": EMAIL,
    "idn-email": EMAIL,
    "hostname": HOST,
    "idn-hostname": HOST,
    "ipv4": rf"{BYTE}\.{BYTE}\.{BYTE}\.{BYTE}",
    "ipv6": IPV6,
    "uri": URI,
    "uri-reference": f"(?:{URI}|{PATH})",
    "iri": URI,
    "iri-reference": f"(?:{URI}|{PATH})",
    "uuid": UUID,
    **{f"uuid{version}": UUID for version in range(1, 6)},
    "json-pointer": "(?:/[A-Za-z0-9_-]{0,100}){0,10}",
}
"""What a string of each format matches from its begin to its end."""
UNHELD = {"regex", "uri-template", "relative-json-pointer"}
"""Formats that the specification names, and that no pattern here keeps to."""
