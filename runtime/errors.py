"""Errors shown to the user: AppError and its subclasses, each with a hint and an exit status.

AppError                 base class; exit status 1
├── UsageError           the command line or a configuration file is wrong; exit status 2
├── FormatError          a bundle's footer or manifest is damaged or of an unknown version
├── PayloadError         a section is damaged or missing, or cannot be decompressed
├── CacheError           a decompressed model cannot be cached on disk
├── GGUFError            a file is not a readable GGUF model
├── ModelError           the engine cannot load or use the model
│   ├── ContextOverflow  a prompt has more tokens than fit into the context
│   ├── OverBudget       a stranger's text takes more time or memory than it may
│   ├── RemoteError      a remote server cannot be reached, or returns an error
│   └── WorkerError      another machine that is to compute cannot be used
│       └── WorkerLost   … is lost while it computes
├── PortError            the port to listen on is in use or not permitted
├── Busy                 the queue of requests is full
├── DocumentError        a document that is to be searched cannot be read
├── MediaError           a picture or a sound cannot be read, or the model takes none
├── SessionError         a saved conversation cannot be written or read
└── MemoryShortage       the model does not fit into the available memory
"""

from __future__ import annotations

from runtime.sanitize import plain

DAMAGED = "the file is damaged or incomplete: copy or download it again"
JSON = "JSON has names and texts in double quotes, and no comma behind the last one"
AGAIN = "copy or download the file again"


class AppError(Exception):
    """A failure with its explanation: what was found, what was expected, and what to do next."""

    exit_code = 1

    def __init__(self, problem: str, *, hint: str = "") -> None:
        """Store the problem and the hint, sanitized: both often quote untrusted text."""
        self.problem = plain(problem)
        self.hint = plain(hint)
        super().__init__(self.problem)

    def render(self) -> str:
        """Return the text for stderr: the problem, then the hint if there is one."""
        text = f"error: {self.problem}"
        return f"{text}\n\nhint: {self.hint}" if self.hint else text


class UsageError(AppError):
    """The command line or a configuration file is wrong."""

    exit_code = 2


class FormatError(AppError):
    """The footer or the manifest of a bundle is damaged or of an unknown version."""


class PayloadError(AppError):
    """A section of a bundle is damaged or missing, or cannot be decompressed here."""


class CacheError(AppError):
    """A decompressed model cannot be cached on disk; decompressing it in memory may still work."""


class GGUFError(AppError):
    """A file is not a GGUF model, or not a readable one."""


class ModelError(AppError):
    """The engine cannot load the model, or fails while using it."""


class NotNumbers(ModelError):
    """The model has computed something that is not a number."""


class OverBudget(ModelError):
    """A chat template or a schema takes more time or memory than it may; again, it would, too."""


class RemoteError(ModelError):
    """A remote server used as the fallback cannot be reached, or returns an error."""

    def __init__(self, problem: str, *, hint: str = "", status: int | None = None) -> None:
        """`status` is the HTTP status of an error response, None if there was no response."""
        super().__init__(problem, hint=hint)
        self.status = status


class WorkerError(ModelError):
    """Another machine that is to compute a part of the model cannot be reached or used."""


class DeviceLost(ModelError):
    """A device fails while it computes: the engine cannot go on with it, nor be freed."""


class WorkerLost(DeviceLost):
    """Another machine is lost while it computes."""


class ContextOverflow(ModelError):
    """A prompt has `tokens`, the context room for `room` of them, and for one of the answer."""

    def __init__(self, tokens: int, room: int) -> None:
        """Keep the counts: who asked over a network is told in other words."""
        super().__init__(
            f"the prompt has {tokens} tokens, the context has room for {room}",
            hint="shorten it, or give more context with -c",
        )
        self.tokens = tokens
        self.room = room


class PortError(AppError):
    """The port to listen on is in use, or this user may not bind it."""


class Busy(AppError):
    """The queue of requests waiting for the engine is full."""


class SessionError(AppError):
    """A saved conversation cannot be written, or the file is not a saved conversation."""


class MemoryShortage(AppError):
    """The model needs more memory than is available to this process."""


class DocumentError(AppError):
    """A document cannot be read; the message calls it "it", for a list has its name."""


class MediaError(AppError):
    """A picture or a sound cannot be read, or the model takes none."""
