"""Saved slots: the state of a sequence in a file, and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from runtime.container.prefix_state import difference
from runtime.dialogue import session_file
from runtime.dialogue.loaded_model import LoadedModel
from runtime.dialogue.session_disk import Disk
from runtime.dialogue.session_file import SessionFile
from runtime.errors import Busy, ModelError, SessionError
from runtime.host import hmac_key
from runtime.inference.kv_cache.slots import Slot, Slots
from runtime.inference.manner import Adapters

PATIENCE_SECONDS = 60.0
"""How long to wait for the answer that is generated in a slot."""
POLL_SECONDS = 0.05
Result = TypeVar("Result")


@dataclass(frozen=True)
class Moved:
    """What was written or read."""

    tokens: int
    bytes: int
    seconds: float


class SavedSlots:
    """The slots of a model, and the folder that they are saved to; safe from any thread.

    Files are saved conversations without turns: what this user did not write is not loaded, since
    the engine believes what is in them.
    """

    def __init__(self, loaded: LoadedModel, disk: Disk) -> None:
        self._loaded = loaded
        self._disk = disk

    def save(self, number: int, name: str) -> Moved:
        """Write a slot to a file; raise AppError if that fails."""
        begin = time.perf_counter()

        def take(slots: Slots, slot: Slot) -> tuple[list[int], bytes, Adapters]:
            return *slots.state_of(slot), slot.adapters

        tokens, state, adapters = self._when_free(number, take)
        key = self._loaded.state_key(dict(adapters.scales))
        parts = SessionFile(key=key, tokens=tokens, state=state).parts()
        self._disk.write(name, parts)
        size = sum(map(len, parts)) + hmac_key.MAC_SIZE
        return Moved(len(tokens), size, time.perf_counter() - begin)

    def restore(self, number: int, name: str) -> Moved:
        """Load a file into a slot; raise AppError if it does not fit, or cannot be read."""
        begin = time.perf_counter()
        path, file = self._disk.open(name)
        with file:
            saved = session_file.parse(file, path, self._disk.is_own)
            size = file.tell()
        lora = self._loaded.lora
        strengths = {one: scale for one, scale in lora.strengths.items() if scale}
        problem = saved.state_error or difference(saved.key, self._loaded.state_key(strengths))
        if problem:
            raise SessionError(f"{name} cannot be restored: {problem}")
        adapters = lora.adapters(strengths)

        def put(slots: Slots, slot: Slot) -> None:
            slots.load_state(saved.state, saved.tokens, wanted=slot.number, adapters=adapters)

        try:
            self._when_free(number, put)
        except ModelError as exc:
            raise SessionError(f"{name} cannot be restored: {exc.problem}") from exc
        return Moved(len(saved.tokens), size, time.perf_counter() - begin)

    def erase(self, number: int) -> int:
        """Remove what a slot holds; return how many tokens that were."""

        def clear(slots: Slots, slot: Slot) -> int:
            count = len(slot.held)
            slots.truncate(slot, 0)
            return count

        return self._when_free(number, clear)

    def _when_free(self, number: int, action: Callable[[Slots, Slot], Result]) -> Result:
        """Return the result of `action`, which is run when the slot has no answer in work.

        Raise Busy if that takes too long.
        """

        def attempt(slots: Slots) -> tuple[Result] | None:
            slot = next(slot for slot in slots if slot.number == number)
            return None if slot.busy else (action(slots, slot),)

        end = time.monotonic() + PATIENCE_SECONDS
        while (found := self._loaded.scheduler.between_steps(attempt)) is None:
            if time.monotonic() > end:
                raise Busy(f"slot {number} is busy", hint="try again when its answer has ended")
            time.sleep(POLL_SECONDS)
        return found[0]
