"""Mail: its heads, and its text; what is attached is listed as not read."""

from __future__ import annotations

import email
import email.errors
import email.header
import email.message
import email.policy
import email.utils
from collections.abc import Iterator

from runtime.documents.dates import date_of_name
from runtime.documents.document import Block, Document, Unread, made
from runtime.documents.formats.html_page import parsed
from runtime.documents.formats.plain_text import paragraphs
from runtime.documents.text_encoding import decoded
from runtime.documents.time_limit import check_time
from runtime.errors import DocumentError

HEADS = ("From", "To", "Cc", "Date")
HEAD = 1000
"""Characters of one that are kept: lists of recipients have no end."""
PARTS = 1000
"""Of a mail that are looked at."""

Message = email.message.Message


def read_mail(data: bytes, path: str) -> Document:
    """Read a mail: its plain text where it has one, its HTML otherwise."""
    try:
        message = email.message_from_bytes(data, policy=email.policy.compat32)
    except RecursionError as exc:
        raise _too_deep() from exc
    if not any(name in message for name in ("From", "Date", "Subject", "To")):
        raise DocumentError("it is no mail: it has no heads", hint="name it .txt to read it anyway")
    heads = [f"{name}: {value}" for name in HEADS if (value := head(message, name))]
    blocks = [Block("list", "\n".join(heads))]
    texts, attached = _parts(message)
    for part in texts:
        check_time()
        blocks.extend(_blocks(part))
    return made(
        path, "mail", blocks, title=head(message, "Subject"),
        date=_date(message) or date_of_name(path),
        unread=[Unread(f"{path}#{name}", "what is attached to a mail is not read",
                       "save it beside the mail") for name in attached],
    )  # fmt: skip


def head(message: Message, name: str) -> str:
    """Return a head of the mail, decoded and in one line; empty if it has none."""
    value = message.get(name)
    if value is None:
        return ""
    return head_text(str(value)[: HEAD * 4])[:HEAD]


def head_text(raw: str) -> str:
    """Return what stands in a head, decoded and in one line; as it is where that fails."""
    try:
        text = str(email.header.make_header(email.header.decode_header(raw)))
    except (
        ValueError,
        LookupError,
        email.errors.MessageError,
    ):  # an unknown encoding, wrong Base64
        text = raw
    return " ".join(text.split())


def _date(message: Message) -> str:
    """Return the day of a mail, where it was written."""
    try:
        found = email.utils.parsedate_to_datetime(str(message.get("Date", ""))[:200])
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    return found.date().isoformat()


def _parts(message: Message) -> tuple[list[Message], list[str]]:
    """Return the parts that are its text, in their order, and the names of the others."""
    texts: list[Message] = []
    attached: list[str] = []
    waiting, seen = [message], 0
    while waiting:
        part, seen = waiting.pop(), seen + 1
        if seen > PARTS:
            attached.append("more parts than are looked at")
            break
        inner = part.get_payload()
        kind = part.get_content_type()
        if kind.startswith("multipart/") and isinstance(inner, list):
            chosen = [one for one in inner if isinstance(one, email.message.Message)]
            if kind == "multipart/alternative":
                chosen = _best(chosen)
            waiting.extend(reversed(chosen))
        elif kind in ("text/plain", "text/html") and not _is_attached(part):
            texts.append(part)
        else:
            attached.append(_name(part))
    return texts, attached


def _best(parts: list[Message]) -> list[Message]:
    """Return the one of several forms of a text that is read: plain, if there is something."""
    for part in parts:
        if part.get_content_type() == "text/plain" and _payload(part).strip():
            return [part]
    return parts[-1:]  # the richest comes last, and may contain more parts


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or part.get_filename() is not None


def _name(part: Message) -> str:
    name = part.get_filename()
    if name:
        return head_text(name)
    if part.get_content_type() == "message/rfc822":
        return "a mail in the mail"
    return part.get_content_type()[:100]


def _payload(part: Message) -> bytes:
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def _blocks(part: Message) -> Iterator[Block]:
    data = _payload(part)
    if not data.strip():
        return
    text = decoded(data, part.get_content_charset() or "")
    if part.get_content_type() == "text/html":
        yield from parsed(text).blocks
    else:
        yield from paragraphs(text)


def _too_deep() -> DocumentError:
    return DocumentError("its parts are nested too deeply", hint="save its text as .txt")
