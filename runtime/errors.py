"""The one tree of errors that a user can meet, each carrying its cure.

AppError                 anything we can explain; exit code 1
├── UsageError           the command line or a configuration file is wrong; exit code 2
├── FormatError          a bundle's footer or manifest is damaged or from another version
├── PayloadError         a section is damaged, missing, or cannot be restored
├── CacheError           a restored model cannot be kept on disk
├── GGUFError            a file is not a model that can be read
├── ModelError           the engine cannot open or use the model
│   ├── ContextOverflow  a prompt has more tokens than fit into the context
│   └── RemoteError      a remote server cannot be reached, or refuses
├── PortError            the port to serve at is taken, or not to be had
├── Busy                 too many questions are waiting
├── SessionError         a saved conversation cannot be written or read
└── MemoryShortage       the model does not fit into the memory this process may use
"""

from __future__ import annotations

from runtime.sanitize import plain

DAMAGED = "the file is damaged or incomplete: copy or download it again"
AGAIN = "copy or download the file again"


class AppError(Exception):
    """A failure explained: what was found, what was expected, and what to do next."""

    exit_code = 1

    def __init__(self, problem: str, *, hint: str = "") -> None:
        """Say what is wrong, and what to do; both often quote what a stranger has written."""
        self.problem = plain(problem)
        self.hint = plain(hint)
        super().__init__(self.problem)

    def render(self) -> str:
        """Return the text for stderr: the problem, then the next step."""
        text = f"error: {self.problem}"
        return f"{text}\n\nhint: {self.hint}" if self.hint else text


class UsageError(AppError):
    """The command line or a configuration file asks for something that does not exist."""

    exit_code = 2


class FormatError(AppError):
    """The footer or the manifest of a bundle is damaged or of an unknown version."""


class PayloadError(AppError):
    """A section of a bundle is damaged or missing, or cannot be restored here."""


class CacheError(AppError):
    """A restored model cannot be kept on disk; it can still be restored in memory."""


class GGUFError(AppError):
    """A file is not a GGUF model, or one that cannot be read."""


class ModelError(AppError):
    """The engine refuses the model, or fails while using it."""


class RemoteError(ModelError):
    """A remote server that should answer in place of the model cannot be reached, or refuses."""

    def __init__(self, problem: str, *, hint: str = "", status: int | None = None) -> None:
        """`status` is the HTTP status of a refusal, None where there was no response."""
        super().__init__(problem, hint=hint)
        self.status = status


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
    """The port to serve at is taken, or this user may not have it."""


class Busy(AppError):
    """The engine has as many questions waiting as it takes."""


class SessionError(AppError):
    """A saved conversation cannot be written, or is none."""


class MemoryShortage(AppError):
    """The model needs more memory than this process may use."""
